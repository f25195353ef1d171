package message

import (
	"math"
	"strconv"
)

// ID identifies a message in a group of brokers: Hi is unique to a run of a
// broker, Lo counts. IDs of one broker sort by age.
type ID struct{ Hi, Lo uint64 }

const idPrefix = "ID:entrepot-"

// String returns the form in which clients see the id: "ID:entrepot-1f-42",
// Hi in hexadecimal and Lo in decimal.
func (id ID) String() string { return string(id.AppendText(make([]byte, 0, 52))) }

// AppendText appends what String returns.
func (id ID) AppendText(dst []byte) []byte {
	dst = append(dst, idPrefix...)
	dst = strconv.AppendUint(dst, id.Hi, 16)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Lo, 10)
}

// ParseID reads what String returns and nothing else, so that an id has one
// spelling. It does not allocate: some clients acknowledge by it.
func ParseID[T string | []byte](s T) (id ID, ok bool) {
	if len(s) < len(idPrefix) || string(s[:len(idPrefix)]) != idPrefix {
		return ID{}, false
	}
	i := len(idPrefix)
	if id.Hi, i, ok = parseUint(s, i, 16); !ok || i == len(s) || s[i] != '-' {
		return ID{}, false
	}
	if id.Lo, i, ok = parseUint(s, i+1, 10); !ok || i != len(s) {
		return ID{}, false
	}
	return id, true
}

// parseUint reads the digits of s from i on, and returns where they end.
// Leading zeros, capitals and numbers over 64 bits are not ok.
func parseUint[T string | []byte](s T, i int, base uint64) (n uint64, end int, ok bool) {
	start, most := i, math.MaxUint64/base
	for ; i < len(s); i++ {
		d := digit(s[i])
		if d >= base {
			break
		}
		next := n*base + d
		if n > most || next < d {
			return 0, i, false
		}
		n = next
	}
	return n, i, i > start && (s[start] != '0' || i == start+1)
}

func digit(c byte) uint64 {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0')
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10
	}
	return 16
}

package selector

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/entrepot-mq/entrepot/core/message"
)

// A summary says what the messages of a page have in their properties and
// headers, so that a page in which no message can match a Key is not read.
// It errs on one side only: what it rules out is not there.
//
// Format: number of ranges (one byte, manyNames if some are left out), each
// of them hash of the name (4 bytes), lowest and highest number (8 bytes
// each); then a Bloom filter of the fields' texts and numbers, a power of two
// of bytes, or none if there are none of these.
const (
	maxRanges  = 8
	manyNames  = 0xff // there are more numeric fields than maxRanges: none is listed
	rangeSize  = 4 + 8 + 8
	termBits   = 12  // of the filter for each different text or number
	termProbes = 4   // bits that each one sets
	maxFilter  = 256 // bytes
	// MaxSummary is the size of the largest summary in bytes.
	MaxSummary = 1 + maxRanges*rangeSize + maxFilter
)

// Summary collects what messages have. The zero value is empty; it can be
// reset and used again.
type Summary struct {
	terms  map[uint64]struct{}
	ranges []numberRange
	many   bool
}

type numberRange struct {
	name      uint32
	low, high float64
}

// Reset empties the summary.
func (s *Summary) Reset() {
	clear(s.terms)
	s.ranges, s.many = s.ranges[:0], false
}

// Add adds what m has. It fails if m's content can't be read.
func (s *Summary) Add(m *message.Message, c message.Converters) error {
	if s.terms == nil {
		s.terms = make(map[uint64]struct{})
	}
	convert := onlyStrings(m.Encoding())
	err := m.EachProperty(c, func(p message.Property) { s.add(headerNone, p.Name, valueOf(p.Value), convert) })
	if err != nil {
		return err
	}
	for i := range m.Annotations {
		s.add(headerNone, m.Annotations[i].Name, textOf(m.Annotations[i].Value), convert)
	}
	e := env{m: m}
	for _, h := range summarized {
		if v := e.header(h); v.class != classNull {
			s.add(h, headers[h], v, convert)
		}
	}
	return nil
}

// summarized are the headers that summaries know of.
var summarized = [...]header{headerType, headerCorrelationID, headerGroupID, headerUserID}

func (h header) summarized() bool {
	for _, x := range summarized {
		if x == h {
			return true
		}
	}
	return h == headerNone
}

func (s *Summary) add(h header, name string, v value, convert bool) {
	if v.class == classText {
		s.terms[textTerm(h, name, v.text)] = struct{}{}
	}
	n := v.number(convert)
	if n.class == classNull || math.IsNaN(n.float()) {
		return
	}
	f := n.float()
	s.terms[numberTerm(h, name, f)] = struct{}{}
	hash := uint32(fieldHash(h, name))
	for i := range s.ranges {
		if r := &s.ranges[i]; r.name == hash {
			r.low, r.high = min(r.low, f), max(r.high, f)
			return
		}
	}
	if len(s.ranges) == maxRanges {
		s.many = true
		return
	}
	s.ranges = append(s.ranges, numberRange{hash, f, f})
}

// Append appends the summary.
func (s *Summary) Append(b []byte) []byte {
	if s.many {
		b = append(b, manyNames)
	} else {
		b = append(b, byte(len(s.ranges)))
		for _, r := range s.ranges {
			b = binary.BigEndian.AppendUint32(b, r.name)
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(r.low))
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(r.high))
		}
	}
	if len(s.terms) == 0 {
		return b
	}
	size := 1 << bits.Len(uint(len(s.terms)*termBits-1)/8)
	at := len(b)
	b = append(b, make([]byte, min(size, maxFilter))...)
	filter := b[at:]
	for t := range s.terms {
		for i := range uint64(termProbes) {
			bit := probe(t, i, len(filter))
			filter[bit/8] |= 1 << (bit % 8)
		}
	}
	return b
}

// MayMatch reports whether one of the messages that summary was made of can
// match a selector with that key. A malformed summary rules nothing out.
func (k *Key) MayMatch(summary []byte) bool {
	if len(summary) == 0 || !k.Field.header.summarized() {
		return true
	}
	ranges, many := int(summary[0]), summary[0] == manyNames
	if many {
		ranges = 0
	}
	if len(summary) < 1+ranges*rangeSize {
		return true
	}
	filter := summary[1+ranges*rangeSize:]
	if len(filter)&(len(filter)-1) != 0 {
		return true
	}
	if k.Ranged() {
		return many || k.rangeMayMatch(summary[1:1+ranges*rangeSize])
	}
	for _, v := range k.Values {
		term := textTerm(k.Field.header, k.Field.name, v.text)
		if k.Field.number {
			term = numberTerm(k.Field.header, k.Field.name, v.number)
		}
		if holds(filter, term) {
			return true
		}
	}
	return false
}

func (k *Key) rangeMayMatch(ranges []byte) bool {
	name := uint32(fieldHash(k.Field.header, k.Field.name))
	for ; len(ranges) > 0; ranges = ranges[rangeSize:] {
		if binary.BigEndian.Uint32(ranges) == name {
			low := math.Float64frombits(binary.BigEndian.Uint64(ranges[4:]))
			high := math.Float64frombits(binary.BigEndian.Uint64(ranges[12:]))
			return low <= k.High && high >= k.Low
		}
	}
	return false
}

func holds(filter []byte, term uint64) bool {
	if len(filter) == 0 {
		return false
	}
	for i := range uint64(termProbes) {
		if bit := probe(term, i, len(filter)); filter[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// probe is bit number i of a term in a filter of size bytes, a power of two.
func probe(term, i uint64, size int) uint64 {
	return (term + i*(term>>32|1)) & uint64(size*8-1)
}

// The hashes are part of the stored format: FNV-1a, mixed so that its upper
// half depends on all of the text.
const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

func fieldHash(h header, name string) uint64 {
	return hashText((fnvBasis^uint64(h))*fnvPrime, name)
}

func hashText(hash uint64, s string) uint64 {
	for i := range len(s) {
		hash = (hash ^ uint64(s[i])) * fnvPrime
	}
	return hash
}

func textTerm(h header, name, text string) uint64 {
	return mix(hashText((fieldHash(h, name)^'=')*fnvPrime, text))
}

func numberTerm(h header, name string, f float64) uint64 {
	return mix((fieldHash(h, name)^'#')*fnvPrime ^ math.Float64bits(f+0)) // +0: minus zero is zero
}

func mix(x uint64) uint64 {
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}

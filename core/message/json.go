package message

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
)

// AppendJSON appends a map, stream or single value as JSON: the text that a
// client gets of a body that its protocol has no form for.
func AppendJSON(b []byte, v Value) []byte {
	if n, ok := v.Int64(); ok {
		return strconv.AppendInt(b, n, 10)
	}
	if n, ok := v.Uint64(); ok {
		return strconv.AppendUint(b, n, 10)
	}
	if f, ok := v.Float64(); ok {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	if p, ok := v.Bool(); ok {
		return strconv.AppendBool(b, p)
	}
	if ms, ok := v.Timestamp(); ok {
		return strconv.AppendInt(b, ms, 10)
	}
	if p, ok := v.Binary(); ok {
		b = append(b, '"')
		return append(base64.StdEncoding.AppendEncode(b, p), '"')
	}
	if list, ok := v.List(); ok {
		return appendJSONList(b, list)
	}
	if entries, ok := v.Map(); ok {
		return appendJSONMap(b, entries)
	}
	if _, inner, ok := v.Described(); ok {
		return AppendJSON(b, inner)
	}
	if v.IsNull() {
		return append(b, "null"...)
	}
	return appendJSONText(b, v.String())
}

func appendJSONList(b []byte, list []Value) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSON(b, v)
	}
	return append(b, ']')
}

func appendJSONMap(b []byte, entries []MapEntry) []byte {
	b = append(b, '{')
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONText(b, e.Key.String()), ':')
		b = AppendJSON(b, e.Value)
	}
	return append(b, '}')
}

func appendJSONText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic("message: a string has no JSON: " + err.Error()) // encoding/json has none
	}
	return append(b, quoted...)
}

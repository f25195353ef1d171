package selector

import (
	"math"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Key is a necessary condition of a selector: a field or property that must
// be one of some values, or a number in a range. Whoever has many selectors
// finds those that a message may match by it, instead of asking each.
type Key struct {
	Field  Field
	Values []KeyValue // the caller must not change them; nil: a number in the range
	// Low and High bound the number, both included. One of them may be infinite.
	Low, High float64
}

// Ranged reports whether the key is a range of numbers.
func (k *Key) Ranged() bool { return k.Values == nil }

// Field names what a Key looks at, and as what: a text, or a number. Fields
// are compared with ==.
type Field struct {
	header  header
	name    string
	number  bool
	convert bool // a string that spells a number counts as one
}

// KeyValue is a text or a number. Values are compared with ==, and those of
// different numbers may be equal if they are large.
type KeyValue struct {
	text   string
	number float64
}

// Number returns the number that v is; v belongs to a Field of numbers.
func (v KeyValue) Number() float64 { return v.number }

// Key returns the selector's key, if it has one: if it is, or demands among
// other things, that a name equals a string or a number, is in a list, or lies
// between numbers.
func (s *Selector) Key() (Key, bool) { return s.key, s.keyed }

// keyOfAll prefers a value to a range: fewer messages have it.
func keyOfAll(n *node, o Options) (Key, bool) {
	if key, ok := keyOf(n, o); ok {
		return key, true
	}
	return rangeOf(n, o)
}

func keyOf(n *node, o Options) (Key, bool) {
	switch n.op {
	case opAnd:
		for _, k := range n.kids {
			if key, ok := keyOf(k, o); ok {
				return key, true
			}
		}
	case opEqual:
		a, b := n.kids[0], n.kids[1]
		if a.op != opProperty {
			a, b = b, a
		}
		if a.op == opProperty && b.op == opLiteral {
			return keyOfEqual(a, b.value, o)
		}
	case opIn:
		if p := n.kids[0]; !n.negated && p.header.plainText() {
			key := Key{Field: Field{header: p.header, name: p.name}}
			for _, s := range n.list {
				key.Values = append(key.Values, KeyValue{text: s})
			}
			return key, true
		}
	}
	return Key{}, false
}

func keyOfEqual(p *node, v value, o Options) (Key, bool) {
	f := Field{header: p.header, name: p.name}
	switch {
	case v.class == classText && p.header.plainText():
		return Key{Field: f, Values: []KeyValue{{text: v.text}}}, true
	case v.isNumber() && !p.header.composed() && !p.header.ofDelivery():
		f.number, f.convert = true, o.ConvertStrings
		return Key{Field: f, Values: []KeyValue{{number: v.float()}}}, true
	}
	return Key{}, false
}

// rangeOf returns the range that n demands of a field. Of several fields the
// first one that has two ends counts, or the first one at all.
func rangeOf(n *node, o Options) (best Key, ok bool) {
	var found []Key
	collectRanges(n, o, &found)
	for _, k := range found {
		switch two := !math.IsInf(k.Low, -1) && !math.IsInf(k.High, 1); {
		case two:
			return k, true
		case !ok:
			best, ok = k, true
		}
	}
	return best, ok
}

// collectRanges adds what n demands of each field; what is demanded of a field
// several times is the intersection.
func collectRanges(n *node, o Options, found *[]Key) {
	add := func(p *node, low, high float64) {
		if p.op != opProperty || p.header.composed() || p.header.ofDelivery() {
			return
		}
		f := Field{header: p.header, name: p.name, number: true, convert: o.ConvertStrings}
		for i := range *found {
			if k := &(*found)[i]; k.Field == f {
				k.Low, k.High = max(k.Low, low), min(k.High, high)
				return
			}
		}
		*found = append(*found, Key{Field: f, Low: low, High: high})
	}
	switch n.op {
	case opAnd:
		for _, k := range n.kids {
			collectRanges(k, o, found)
		}
	case opBetween:
		low, okLow := constant(n.kids[1])
		high, okHigh := constant(n.kids[2])
		if okLow && okHigh && !n.negated {
			add(n.kids[0], low, high)
		}
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		below := n.op == opLess || n.op == opLessEqual
		if c, ok := constant(n.kids[1]); ok {
			addBound(add, n.kids[0], c, below)
		} else if c, ok := constant(n.kids[0]); ok {
			addBound(add, n.kids[1], c, !below)
		}
	}
}

// addBound: rounding a large integer keeps the order, so a closed end holds
// all that an open one does.
func addBound(add func(p *node, low, high float64), p *node, c float64, below bool) {
	if below {
		add(p, math.Inf(-1), c)
	} else {
		add(p, c, math.Inf(1))
	}
}

// constant returns the number that a literal is.
func constant(n *node) (float64, bool) {
	return n.value.float(), n.op == opLiteral && n.value.isNumber()
}

// plainText reports whether h is a string that stands in the message as it
// is, or a property: no conversion can make another type equal to a string.
func (h header) plainText() bool {
	switch h {
	case headerNone, headerType, headerDeliveryMode, headerCorrelationID, headerGroupID, headerUserID:
		return true
	}
	return false
}

// Value returns what f is in m, if it is of its kind there.
func (f Field) Value(m *message.Message, c message.Converters) (KeyValue, bool) {
	e := env{m: m, c: c, convert: f.convert && onlyStrings(m.Encoding())}
	var v value
	if f.header != headerNone {
		v = e.header(f.header)
	} else {
		v = e.property(f.name)
	}
	if !f.number {
		return KeyValue{text: v.text}, v.class == classText
	}
	v = v.number(e.convert)
	return KeyValue{number: v.float()}, v.class != classNull
}

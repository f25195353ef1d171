package selector

import "github.com/entrepot-mq/entrepot/core/message"

// Key is a necessary condition of a selector: a field or property that must
// be one of some values. Whoever has many selectors finds those that a
// message may match by it, instead of asking each.
type Key struct {
	Field  Field
	Values []KeyValue // the caller must not change them
}

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

// Key returns the selector's key, if it has one: if it is, or demands among
// other things, that a name equals a string or a number, or is in a list.
func (s *Selector) Key() (Key, bool) { return s.key, s.keyed }

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
		return Key{f, []KeyValue{{text: v.text}}}, true
	case v.isNumber() && !p.header.composed() && !p.header.ofDelivery():
		f.number, f.convert = true, o.ConvertStrings
		return Key{f, []KeyValue{{number: v.float()}}}, true
	}
	return Key{}, false
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

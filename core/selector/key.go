package selector

import "github.com/entrepot-mq/entrepot/core/message"

// Key is a necessary condition of a selector: a field or property that must
// be one of some strings. Whoever has many selectors finds those that a
// message may match by it, instead of asking each.
type Key struct {
	Field  Field
	Values []string // the caller must not change them
}

// Field names what a Key looks at. Fields are compared with ==.
type Field struct {
	header header
	name   string
}

// Key returns the selector's key, if it has one: if it is, or demands among
// other things, that a name equals a string or is in a list.
func (s *Selector) Key() (Key, bool) { return s.key, s.keyed }

func keyOf(n *node) (Key, bool) {
	switch n.op {
	case opAnd:
		for _, k := range n.kids {
			if key, ok := keyOf(k); ok {
				return key, true
			}
		}
	case opEqual:
		a, b := n.kids[0], n.kids[1]
		if a.op != opProperty {
			a, b = b, a
		}
		if a.op == opProperty && a.header.plainText() && b.op == opLiteral && b.value.class == classText {
			return Key{Field{a.header, a.name}, []string{b.value.text}}, true
		}
	case opIn:
		if p := n.kids[0]; !n.negated && p.header.plainText() {
			return Key{Field{p.header, p.name}, n.list}, true
		}
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

// Text returns the string that f is in m, if it is one there.
func (f Field) Text(m *message.Message, c message.Converters) (string, bool) {
	e := env{m: m, c: c}
	var v value
	if f.header != headerNone {
		v = e.header(f.header)
	} else {
		v = e.property(f.name)
	}
	return v.text, v.class == classText
}

package message

import (
	"bytes"
	"fmt"
	"slices"
	"unsafe"
)

// View is a message's content in terms of the hub: typed properties and one
// body. It is immutable and shared.
type View struct {
	Properties []Property // in the publisher's order, duplicates kept
	Body       Body

	// err is set in the place-holder that a message keeps of a view that
	// could not be built. Views that anybody gets to see have none.
	err error
}

// Property is one application property: a JMS property, an AMQP application
// property, an MQTT user property, a STOMP header.
type Property struct {
	Name  string
	Value Value
}

// Property returns the value of the first property of that name: where a name
// stands twice, STOMP says that the first one counts.
func (v *View) Property(name string) (Value, bool) {
	for i := range v.Properties {
		if v.Properties[i].Name == name {
			return v.Properties[i].Value, true
		}
	}
	return Value{}, false
}

// Equal reports whether v and w have the same properties in the same order,
// and the same body.
func (v *View) Equal(w *View) bool {
	same := func(p, q Property) bool { return p.Name == q.Name && p.Value.Equal(q.Value) }
	return slices.EqualFunc(v.Properties, w.Properties, same) && v.Body.Equal(w.Body)
}

// BodyKind says what a body is. The numbers are part of the hub's encoding.
type BodyKind uint8

// The kinds of bodies.
const (
	BodyNone   BodyKind = iota // a message without body
	BodyBytes                  // opaque; AMQP data
	BodyText                   // UTF-8
	BodyMap                    // JMS MapMessage; AMQP value of a map
	BodyStream                 // JMS StreamMessage; AMQP sequence
	BodyObject                 // serialized Java, opaque
	BodyValue                  // any other single value: AMQP value
	bodyEnd
)

var bodyNames = [bodyEnd]string{"none", "bytes", "text", "map", "stream", "object", "value"}

// String returns the kind's name: "bytes".
func (k BodyKind) String() string {
	if k >= bodyEnd {
		return "unknown"
	}
	return bodyNames[k]
}

// Body is the body of a message. Which field holds it depends on Kind.
type Body struct {
	Kind BodyKind
	// Data is the content of bytes, text (in UTF-8) and object bodies.
	Data []byte
	// Value is the content of map (a map), stream (a list) and value bodies.
	Value Value
	// Sections tells where each of several AMQP data or sequence sections
	// ends: in Data (bytes) or in Value's list (elements). It is nil if there
	// is one section. The last one ends where the content ends.
	Sections []int
}

// BytesBody returns a body of bytes. It keeps data.
func BytesBody(data []byte) Body { return Body{Kind: BodyBytes, Data: data} }

// TextBody returns a text body. It keeps text.
func TextBody(text string) Body {
	return Body{Kind: BodyText, Data: unsafe.Slice(unsafe.StringData(text), len(text))}
}

// MapBody returns a map body. It keeps entries.
func MapBody(entries []MapEntry) Body { return Body{Kind: BodyMap, Value: MapValue(entries)} }

// StreamBody returns a stream body. It keeps list.
func StreamBody(list []Value) Body { return Body{Kind: BodyStream, Value: ListValue(list)} }

// ObjectBody returns a body of serialized Java. It keeps data.
func ObjectBody(data []byte) Body { return Body{Kind: BodyObject, Data: data} }

// ValueBody returns a body that is one value.
func ValueBody(v Value) Body { return Body{Kind: BodyValue, Value: v} }

// Text returns Data as a string, without a copy.
func (b *Body) Text() string { return unsafe.String(unsafe.SliceData(b.Data), len(b.Data)) }

// Equal reports whether b and c are the same kind with the same content in
// the same sections.
func (b *Body) Equal(c Body) bool {
	return b.Kind == c.Kind && bytes.Equal(b.Data, c.Data) && b.Value.Equal(c.Value) && slices.Equal(b.Sections, c.Sections)
}

// check reports what keeps b from being the body of a view.
func (b *Body) check() error {
	want := TypeNull
	switch b.Kind {
	case BodyMap:
		want = TypeMap
	case BodyStream:
		want = TypeList
	case BodyValue:
		want = b.Value.typ
	case BodyNone, BodyBytes, BodyText, BodyObject:
	default:
		return fmt.Errorf("%w: body of kind %d", ErrCorrupt, b.Kind)
	}
	if b.Value.typ != want {
		return fmt.Errorf("%w: %v body holds a value of type %v", ErrCorrupt, b.Kind, b.Value.typ)
	}
	return b.checkSections()
}

func (b *Body) checkSections() error {
	if b.Sections == nil {
		return nil
	}
	var size int
	switch b.Kind {
	case BodyBytes:
		size = len(b.Data)
	case BodyStream:
		size = int(b.Value.num)
	default:
		return fmt.Errorf("%w: sections in a %v body", ErrCorrupt, b.Kind)
	}
	if n := len(b.Sections); n < 2 || b.Sections[n-1] != size || b.Sections[0] < 0 || !slices.IsSorted(b.Sections) {
		return fmt.Errorf("%w: body of %d in sections that end at %v", ErrCorrupt, size, b.Sections)
	}
	return nil
}

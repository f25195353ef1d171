package message

import (
	"errors"
	"fmt"
)

// Converter builds the view of payloads of one encoding.
type Converter interface {
	// View returns the view of m's payload, which may point into it. What it
	// returns can be given to AppendView: values nested deeper than MaxDepth
	// are ErrDepth. It is called from any goroutine.
	View(m *Message) (*View, error)
}

// PropertyReader is a Converter that reads properties without the rest.
type PropertyReader interface {
	Converter
	// Properties calls fn with each property that View would return, in their
	// order. They may point into m.
	Properties(m *Message, fn func(Property)) error
}

// Converters knows the converter of each encoding. It is filled when the
// program is assembled and not changed afterwards.
type Converters map[Encoding]Converter

// ErrNoConverter is returned for a message whose protocol the program was
// assembled without.
var ErrNoConverter = errors.New("no converter for the message's encoding")

// View returns m's content in terms of the hub. It is built by c at the first
// call and shared by all later ones, and so is the error of a payload that
// has no view. Safe for concurrent use.
func (m *Message) View(c Converters) (*View, error) {
	v := m.view.Load()
	if v == nil {
		var err error
		if v, err = m.buildView(c); err != nil {
			return nil, err
		}
	}
	if v.err != nil {
		return nil, v.err
	}
	return v, nil
}

// EachProperty calls fn with the properties of m's view, in their order: a look
// that nobody will repeat, for which no view is kept, nor built if the
// converter can do without.
func (m *Message) EachProperty(c Converters, fn func(Property)) error {
	conv := c[m.encoding]
	if conv == nil {
		return fmt.Errorf("%w: %v", ErrNoConverter, m.encoding)
	}
	if r, ok := conv.(PropertyReader); ok {
		return r.Properties(m, fn)
	}
	v, err := conv.View(m)
	if err != nil {
		return err
	}
	for i := range v.Properties {
		fn(v.Properties[i])
	}
	return nil
}

// buildView may run twice at a time; the view that was stored first is the
// one that all get.
func (m *Message) buildView(c Converters) (*View, error) {
	conv := c[m.encoding]
	if conv == nil {
		return nil, fmt.Errorf("%w: %v", ErrNoConverter, m.encoding)
	}
	v, err := conv.View(m)
	if err != nil {
		v = &View{err: fmt.Errorf("%v message %v: %w", m.encoding, m.ID, err)}
	}
	m.view.CompareAndSwap(nil, v)
	return m.view.Load(), nil
}

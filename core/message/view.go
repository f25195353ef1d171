package message

// View is a message's content in terms of the hub: typed properties and one
// body. It is immutable and shared.
type View struct {
	Properties []Property // in the publisher's order, duplicates kept
	Body       Body
}

// Converter builds the view of payloads of one encoding.
type Converter interface {
	View(m *Message) (*View, error)
}

// Converters knows the converter of each encoding. It is filled when the
// program is assembled and not changed afterwards.
type Converters map[Encoding]Converter

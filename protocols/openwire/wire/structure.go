package wire

import "fmt"

// Type is the type byte of a structure.
type Type uint8

// typeInfo is what is known of a type.
type typeInfo struct {
	name       string
	since      int  // the first version that knows it
	cachedForm bool // nested and tight, a bit says whether it was encoded before
	make       func() Structure
}

// String returns the structure's name in the protocol: "ConsumerInfo".
func (t Type) String() string {
	if int(t) < len(types) && types[t].name != "" {
		return types[t].name
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Structure is anything that has a type byte: commands, messages, ids,
// destinations.
type Structure interface {
	StructureType() Type
	read(r *reader)
	write(w *writer)
}

// Command is a structure that is sent as a frame and may ask for a response.
type Command interface {
	Structure
	Base() *BaseCommand
}

// Base implements Command.
func (x *BaseCommand) Base() *BaseCommand { return x }

// Message is any of the message types.
type Message interface {
	Command
	Fields() *BaseMessage
}

// Fields implements Message.
func (x *BaseMessage) Fields() *BaseMessage { return x }

// Destination is a queue or topic, temporary or not.
type Destination interface {
	Structure
	Name() string
}

// Name implements Destination.
func (x *ActiveMQDestination) Name() string { return x.PhysicalName.String() }

// TransactionID is a LocalTransactionID or an XATransactionID.
type TransactionID interface {
	Structure
	transactionID()
}

func (*BaseTransactionID) transactionID() {}

// String is a string or null: OpenWire tells null from "". The zero value is
// null.
//
// It holds UTF-8. A Java string may hold half of a surrogate pair, which UTF-8
// can't say; it is kept as the three bytes that it would have, so that it
// leaves as it came.
type String struct {
	text string
	set  bool
}

// Text returns s as a String that isn't null.
func Text(s string) String { return String{s, true} }

// String returns the text, "" for null.
func (s String) String() string { return s.text }

// IsNull reports whether s is null.
func (s String) IsNull() bool { return !s.set }

// Throwable is an exception. Its class name is a text like any other: nothing
// is ever made of it.
type Throwable struct {
	Class, Text String
	// Stack and Cause are sent only between peers that agreed on stack traces.
	Stack []StackTraceElement
	Cause *Throwable
}

// StackTraceElement is a line of a stack trace.
type StackTraceElement struct {
	Class, Method, File String
	Line                int32 // -2 in native code
}

// typeSet is a set of types.
type typeSet [4]uint64

var allowAny = typeSet{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

func setOf(list ...Type) (s typeSet) {
	for _, t := range list {
		s[t/64] |= 1 << (t % 64)
	}
	return s
}

func (s *typeSet) has(t Type) bool { return s[t/64]>>(t%64)&1 != 0 }

// NewMessage returns an empty message of a type, which must be one of the
// message types.
func NewMessage(t Type) Message {
	return types[t].make().(Message) //nolint:errcheck // as the comment says
}

// Correlation is the id of the command that a response answers.
func (x *Response) Correlation() int32 { return x.CorrelationID }

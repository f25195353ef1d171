package selector

import (
	"fmt"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Limits of a selector.
const (
	MaxLength = 32 << 10 // bytes of text
	MaxDepth  = 64       // nested expressions and parentheses
	MaxList   = 1000     // strings of one IN
)

var (
	tooDeep = fmt.Sprintf("expressions are nested deeper than %d", MaxDepth)
	tooMany = fmt.Sprintf("a list has more than %d strings", MaxList)
	tooLong = fmt.Sprintf("the selector is longer than %d bytes", MaxLength)
)

// Options say how a selector is evaluated. The zero value is JMS.
type Options struct {
	// ConvertStrings takes a string for the number or the boolean that it
	// spells, where one is demanded, in messages of publishers whose
	// properties are always strings: STOMP and MQTT.
	ConvertStrings bool
}

// convertPrefix is ActiveMQ's way to ask for conversion in any message.
const convertPrefix = "convert_string_expressions:"

// Selector is a condition on messages. It is immutable, safe for concurrent
// use, and made by Parse or by a Cache.
type Selector struct {
	root       *node
	options    Options
	always     bool // convert strings of any publisher
	composed   bool // a header's text has to be written to look at it
	ofDelivery bool
	key        Key
	keyed      bool
}

// Parse reads a selector. Errors are of type *Error.
func Parse(text string, o Options) (*Selector, error) {
	if len(text) > MaxLength {
		return nil, &Error{Text: text[:shown], Reason: tooLong}
	}
	s := &Selector{options: o}
	body, always := strings.CutPrefix(text, convertPrefix)
	s.always = always
	root, err := parse(body)
	if err != nil {
		return nil, &Error{Text: text, Offset: err.Offset + len(text) - len(body), Reason: err.Reason}
	}
	s.root = root
	root.walk(func(n *node) {
		s.composed = s.composed || n.header.composed()
		s.ofDelivery = s.ofDelivery || n.header.ofDelivery()
	})
	if !always { // a number may equal the string then
		s.key, s.keyed = keyOfAll(root, o)
	}
	return s, nil
}

// String returns the selector in its canonical spelling, which means the same.
func (s *Selector) String() string {
	var b []byte
	if s.always {
		b = append(b, convertPrefix...)
	}
	return string(s.root.print(b, 0))
}

// OfDelivery reports whether the selector asks for JMSRedelivered or
// JMSXDeliveryCount, which only the queue knows: Matches takes them as those of
// a first delivery.
func (s *Selector) OfDelivery() bool { return s.ofDelivery }

// Matches reports whether the selector is TRUE for m. c reads m's properties,
// if the selector asks for any.
func (s *Selector) Matches(m *message.Message, c message.Converters) bool {
	return s.MatchesAttempt(m, c, 0)
}

// MatchesAttempt is Matches for a message of which that many deliveries from
// where it waits have failed.
func (s *Selector) MatchesAttempt(m *message.Message, c message.Converters, attempts uint32) bool {
	e := env{m: m, c: c, attempts: attempts, convert: s.always || s.options.ConvertStrings && onlyStrings(m.Encoding())}
	if !s.composed {
		return e.test(s.root) == isTrue
	}
	e.scratch = scratches.Get().(*scratch) //nolint:errcheck // nothing else is put there
	ok := e.test(s.root) == isTrue
	e.scratch.b = e.scratch.b[:0]
	scratches.Put(e.scratch)
	return ok
}

// onlyStrings reports whether a protocol's properties have no other type.
func onlyStrings(e message.Encoding) bool {
	return e == message.EncodingSTOMP || e == message.EncodingMQTT
}

package broker

import (
	"encoding/binary"
	"errors"

	"github.com/entrepot-mq/entrepot/core/message"
)

// durableSpec is what makes a durable subscription what it is; another one
// under the same name replaces it with all that waits.
type durableSpec struct {
	ClientID, Name, Pattern, Selector string
	// Owner is the user that made it, "" if nobody had to authenticate. No
	// other user gets at it by taking the client id.
	Owner           string
	NoLocal, Shared bool
}

func (s *durableSpec) key() durableKey { return durableKey{s.ClientID, s.Name} }

// global says that the subscription is shared by sessions of any client id.
func (s *durableSpec) global() bool { return s.Shared && s.ClientID == "" }

// notFrom selects what others than the client of that id published.
type notFrom string

// Matches implements queue.Filter.
func (f notFrom) Matches(m *message.Message) bool { return m.Publisher != string(f) }

const specVersion = 2 // 1 had no owner

// encode returns the spec: version, flags, five strings with their uvarint
// lengths.
func (s *durableSpec) encode() []byte {
	var flags byte
	if s.NoLocal {
		flags |= 1
	}
	if s.Shared {
		flags |= 2
	}
	b := []byte{specVersion, flags}
	for _, f := range []string{s.ClientID, s.Name, s.Pattern, s.Selector, s.Owner} {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return b
}

var errSpec = errors.New("malformed description")

func parseDurable(b []byte) (s durableSpec, err error) {
	if len(b) < 2 || b[0] == 0 || b[0] > specVersion {
		return s, errSpec
	}
	s.NoLocal, s.Shared = b[1]&1 != 0, b[1]&2 != 0
	fields := []*string{&s.ClientID, &s.Name, &s.Pattern, &s.Selector, &s.Owner}
	if b[0] == 1 {
		fields = fields[:4]
	}
	b = b[2:]
	for _, f := range fields {
		n, l := binary.Uvarint(b)
		if l <= 0 || n > uint64(len(b)-l) {
			return s, errSpec
		}
		*f = string(b[l : l+int(n)])
		b = b[l+int(n):]
	}
	return s, nil
}

func appendDestination(b []byte, d message.Destination) []byte {
	return append(append(b, byte(d.Kind)), d.Name...)
}

func parseDestination(b []byte) (message.Destination, error) {
	if len(b) < 2 {
		return message.Destination{}, errSpec
	}
	d := message.Destination{Kind: message.Kind(b[0]), Name: string(b[1:])}
	if d.Kind != message.KindQueue && d.Kind != message.KindTopic {
		return d, errSpec
	}
	return d, message.ValidateName(d.Name)
}

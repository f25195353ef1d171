package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// protocol is a wire protocol as the generator needs it. A new one (MQTT,
// AMQP, OpenWire) is a file with this interface, a codec and a line in
// protocols.
type protocol interface {
	// open speaks on a fresh connection until the broker has accepted the
	// client, and returns the codec for the rest of its life.
	open(rw io.ReadWriter, c credentials) (codec, error)
	// address completes a --server value with the protocol's port.
	defaultPort() string
	// destination spells a queue or a topic.
	destination(name string, topic bool) string
}

// credentials is how a client introduces itself.
type credentials struct {
	login, passcode string
	virtualHost     string
}

// codec encodes for and parses from one connection. The connection's reader
// and its writer use it at the same time: the append methods and publication
// share no state with next.
type codec interface {
	// peer is the broker's name for itself, or "".
	peer() string
	// publication returns n frames with the same contents, to be patched and
	// written again and again.
	publication(p publication, n int) (*frames, error)
	// appendSubscribe asks for one subscription; the broker's consent comes
	// as an eventReply.
	appendSubscribe(dst []byte, s subscription) []byte
	// appendAck acknowledges the delivery in e.
	appendAck(dst []byte, e *event) []byte
	// appendDisconnect says goodbye; when everything before it has been
	// carried out, an eventReply comes.
	appendDisconnect(dst []byte) []byte
	// next parses the frame at the start of buf into e and returns its
	// length, or 0 when buf holds no whole frame. The slices in e point into
	// buf.
	next(buf []byte, e *event) (int, error)
}

// crediter is a codec whose broker says how many messages may be sent, in all
// since the beginning.
type crediter interface{ allowance() int64 }

// answerer is a codec that has something to say after a read.
type answerer interface{ appendAnswers(dst []byte) []byte }

// publication is what all messages of one publisher have in common.
type publication struct {
	destination string
	size        int // of the body, at least stampSize
	persistent  bool
	confirm     bool // ask the broker to confirm each
	headers     []header
}

type header struct{ name, value string }

// subscription is a consumer's request.
type subscription struct {
	destination string
	ack         ackMode
	prefetch    int // unacknowledged deliveries, 0 = the broker's default
	headers     []header
}

// ackMode is how a consumer acknowledges.
type ackMode string

// The acknowledgement modes, spelled as in --ack.
const (
	ackAuto       ackMode = "auto"              // the broker forgets what it sent
	ackClient     ackMode = "client"            // cumulative, once per read
	ackIndividual ackMode = "client-individual" // each delivery
)

type eventKind uint8

const (
	eventIgnored  eventKind = iota // heart-beats and the like
	eventDelivery                  // body, and what appendAck needs
	eventConfirm                   // the message with stamp in body is safe
	eventReply                     // to a subscribe or a disconnect
	eventRefusal                   // the broker's words are in body
)

// event is one parsed frame. Its slices are valid until the next read.
type event struct {
	kind eventKind
	body []byte
	ack  []byte // the delivery's name, as appendAck wants it

	// Of protocols that number messages: a confirmation is known by id alone.
	id       uint16
	more     uint16 // numbers behind id that are confirmed too
	numbered bool
	answers  bool // the packet is answered at once: by answer, and id
	answer   byte
}

// frames is a batch of equal frames in one buffer: what is written is a prefix
// of it, so a message costs the few bytes that are patched.
type frames struct {
	buf    []byte
	size   int // of one frame
	bodyAt int // where the stamp goes
	// confirmAt is where the stamp goes once more, as the name under which
	// the broker confirms the message; 0 is nowhere.
	confirmAt int
	// idAt is where a message's number goes, for protocols that confirm by
	// number; 0 is nowhere.
	idAt int
	// idWide makes it four bytes, and one that goes on where the other begins anew.
	idWide bool
	// sequenceAt is where a message's sequence number goes, eight bytes from 1
	// on, for protocols whose publishers number their messages; 0 is nowhere.
	sequenceAt int
}

// newFrames repeats frame n times.
func newFrames(frame []byte, bodyAt, confirmAt, n int) *frames {
	f := &frames{buf: make([]byte, 0, len(frame)*n), size: len(frame), bodyAt: bodyAt, confirmAt: confirmAt}
	for range n {
		f.buf = append(f.buf, frame...)
	}
	return f
}

// mark writes s into frame i.
func (f *frames) mark(i int, s stamp) {
	at := i * f.size
	body := f.buf[at+f.bodyAt : at+f.bodyAt+stampSize]
	s.put(body)
	if f.confirmAt > 0 {
		copy(f.buf[at+f.confirmAt:], body)
	}
	switch {
	case f.idAt > 0 && f.idWide:
		binary.BigEndian.PutUint32(f.buf[at+f.idAt:], s.seq+1)
	case f.idAt > 0:
		binary.BigEndian.PutUint16(f.buf[at+f.idAt:], numberOf(s.seq))
	}
	if f.sequenceAt > 0 {
		binary.BigEndian.PutUint64(f.buf[at+f.sequenceAt:], uint64(s.seq)+1)
	}
}

// numberOf is the number of a publisher's message: 1 to 65,535, again and again.
func numberOf(seq uint32) uint16 { return uint16(seq%0xffff) + 1 }

// first returns the bytes of the first n frames.
func (f *frames) first(n int) []byte { return f.buf[:n*f.size] }

// protocols returns the protocols by their --protocol names.
func protocols() map[string]protocol {
	return map[string]protocol{
		"stomp": stompProtocol{accept: "1.1,1.2"},
		// 1.1 names deliveries by two headers instead of one: worth
		// comparing where a broker must look them up.
		"stomp11":  stompProtocol{accept: "1.1"},
		"amqp":     amqpProtocol{},
		"openwire": openwireProtocol{},
		// The QoS is the whole run's, and part of the name.
		"mqtt":           mqttProtocol{level: 4},
		"mqtt-q1":        mqttProtocol{level: 4, qos: 1},
		"mqtt-q2":        mqttProtocol{level: 4, qos: 2},
		"mqtt-q1-stored": mqttProtocol{level: 4, qos: 1, stored: true},
		"mqtt-q2-stored": mqttProtocol{level: 4, qos: 2, stored: true},
		"mqtt5":          mqttProtocol{level: 5},
		"mqtt5-q1":       mqttProtocol{level: 5, qos: 1},
	}
}

func protocolNames() []string {
	var names []string
	for name := range protocols() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func protocolNamed(name string) (protocol, error) {
	p, ok := protocols()[name]
	if !ok {
		return nil, fmt.Errorf("unknown protocol %q: use one of %s", name, strings.Join(protocolNames(), ", "))
	}
	return p, nil
}

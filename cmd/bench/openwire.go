package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// openwireProtocol is OpenWire over a byte stream, version 12, loose and without
// cache: what brokers offer by default, and what frames can be patched in.
type openwireProtocol struct{}

func (openwireProtocol) defaultPort() string { return "61616" }

func (openwireProtocol) destination(name string, topic bool) string {
	if topic {
		return "topic://" + name
	}
	return "queue://" + name
}

// openwireSetup marks the ids of commands that set something up: those of
// messages are below.
const openwireSetup = 1 << 16

// openwireLastProbe is a sequence number that stands nowhere else in a frame,
// so that its place is found.
const openwireLastProbe = 0x7a6b5c4d3e2f1a0b

func (openwireProtocol) open(rw io.ReadWriter, c credentials) (codec, error) {
	k := &openwireCodec{rw: rw, id: "ID:bench-" + rand.Text()[:16], encoder: wire.NewEncoder(wire.Format{}), setup: openwireSetup}
	hello := &wire.WireFormatInfo{Magic: [8]byte([]byte("ActiveMQ")), Version: wire.MaxVersion, MarshalledProperties: wire.AppendMap(nil, []message.Property{
		{Name: "MaxInactivityDuration", Value: message.Int64Value(0)},
		{Name: "TightEncodingEnabled", Value: message.BoolValue(false)},
		{Name: "CacheEnabled", Value: message.BoolValue(false)},
	})}
	if err := k.tell(hello); err != nil {
		return nil, err
	}
	s, err := k.hear(wire.NewDecoder(wire.Format{}))
	if err != nil {
		return nil, err
	}
	if info, ok := s.(*wire.WireFormatInfo); !ok || info.Version < wire.MaxVersion {
		return nil, fmt.Errorf("the broker does not speak version %d of OpenWire", wire.MaxVersion)
	}
	k.encoder = wire.NewEncoder(wire.Format{Version: wire.MaxVersion})
	err = k.tell(k.command(&wire.ConnectionInfo{
		ConnectionID: &wire.ConnectionID{Value: wire.Text(k.id)}, ClientID: wire.Text(k.id), ClientMaster: true,
		UserName: openwireText(c.login), Password: openwireText(c.passcode),
	}, true))
	if err != nil {
		return nil, err
	}
	return k, errors.Join(k.welcome(), k.tell(k.command(&wire.SessionInfo{SessionID: k.session()}, false)))
}

func openwireText(s string) (out wire.String) {
	if s != "" {
		out = wire.Text(s)
	}
	return out
}

// openwireCodec is one connection's.
type openwireCodec struct {
	rw      io.ReadWriter
	id      string
	encoder *wire.Encoder
	setup   int32 // id of the next command that sets something up

	// the consumer's
	mode     ackMode
	prefetch int
	ackHead  []byte // of a MessageAck, up to its first message id
	received int
	acked    int
	last     []byte // the message id of the last delivery, as it stood in its frame
}

func (k *openwireCodec) session() *wire.SessionID {
	return &wire.SessionID{ConnectionID: wire.Text(k.id), Value: 1}
}

// command numbers a command that sets something up.
func (k *openwireCodec) command(cmd wire.Command, answer bool) wire.Command {
	cmd.Base().CommandID, cmd.Base().ResponseRequired = k.setup, answer
	k.setup++
	return cmd
}

func (k *openwireCodec) tell(s wire.Structure) error {
	frame, err := k.encoder.Append(nil, s)
	if err != nil {
		return err
	}
	if _, err := k.rw.Write(frame); err != nil {
		return fmt.Errorf("send %s: %w", s.StructureType(), err)
	}
	return nil
}

func (k *openwireCodec) hear(d *wire.Decoder) (wire.Structure, error) {
	var size [4]byte
	if _, err := io.ReadFull(k.rw, size[:]); err != nil {
		return nil, fmt.Errorf("wait for the broker: %w; is this an OpenWire port?", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxHandshake {
		return nil, fmt.Errorf("a frame of %d bytes: is this an OpenWire port?", n)
	}
	frame := make([]byte, n)
	if _, err := io.ReadFull(k.rw, frame); err != nil {
		return nil, err
	}
	return d.Decode(frame)
}

// welcome waits for the answer to ConnectionInfo. Nothing follows that but what
// the reader skips.
func (k *openwireCodec) welcome() error {
	d := wire.NewDecoder(wire.Format{Version: wire.MaxVersion})
	for {
		s, err := k.hear(d)
		if err != nil {
			return err
		}
		switch x := s.(type) {
		case *wire.Response:
			return nil
		case *wire.ExceptionResponse:
			return &refusal{words: x.Exception.Text.String()}
		case *wire.ConnectionError:
			return &refusal{words: x.Exception.Text.String()}
		}
	}
}

func (*openwireCodec) peer() string { return "" }

func openwireDestination(s string) wire.Destination {
	d, err := message.ParseDestination(s, message.KindQueue)
	if err != nil || d.Kind != message.KindTopic {
		return &wire.ActiveMQQueue{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(d.Name)}}
	}
	return &wire.ActiveMQTopic{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(d.Name)}}
}

func (k *openwireCodec) publication(p publication, n int) (*frames, error) {
	switch {
	case p.size < stampSize:
		return nil, fmt.Errorf("a body of %d bytes cannot hold the %d-byte stamp", p.size, stampSize)
	case len(p.headers) > 0:
		return nil, errors.New("--header is for STOMP")
	}
	producer := &wire.ProducerID{ConnectionID: wire.Text(k.id), SessionID: 1, Value: 1}
	to := openwireDestination(p.destination)
	if err := k.tell(k.command(&wire.ProducerInfo{ProducerID: producer, Destination: to}, false)); err != nil {
		return nil, err
	}
	m := &wire.ActiveMQBytesMessage{}
	f := m.Fields()
	f.ResponseRequired, f.ProducerID, f.Destination, f.Persistent, f.Priority = p.confirm, producer, to, p.persistent, message.DefaultPriority
	f.MessageID = &wire.MessageID{ProducerID: producer, ProducerSequenceID: openwireLastProbe}
	f.Timestamp, f.Content = 1, filler(p.size)
	frame, err := k.encoder.Append(nil, m)
	if err != nil {
		return nil, err
	}
	out := newFrames(frame, bytes.Index(frame, f.Content), 0, n)
	out.idAt = 4 + 1 + 2 // the lower half of the command's id
	out.sequenceAt = bytes.Index(frame, binary.BigEndian.AppendUint64(nil, openwireLastProbe))
	return out, nil
}

func (k *openwireCodec) appendSubscribe(dst []byte, s subscription) []byte {
	k.mode, k.prefetch = s.ack, s.prefetch
	if k.prefetch == 0 {
		k.prefetch = 1000
	}
	consumer, from := &wire.ConsumerID{ConnectionID: wire.Text(k.id), SessionID: 1, Value: 1}, openwireDestination(s.destination)
	kind := int8(2) // standard, a range
	ack, err := k.encoder.Append(nil, k.command(&wire.MessageAck{Destination: from, ConsumerID: consumer, AckType: kind}, false))
	if err != nil {
		panic(err) // an encoder fails by what is encoded only, and this is always the same
	}
	// Behind the kind: two ids that are null, the count, and no cause.
	k.ackHead = ack[:len(ack)-1-1-4-1]
	out, err := k.encoder.Append(dst, k.command(&wire.ConsumerInfo{ConsumerID: consumer, Destination: from, PrefetchSize: int32(k.prefetch)}, true))
	if err != nil {
		panic(err) // the same
	}
	return out
}

// appendAck acknowledges the delivery in e, or all up to it.
func (k *openwireCodec) appendAck(dst []byte, e *event) []byte {
	n := 1
	if k.mode != ackIndividual {
		n = k.received - k.acked
	}
	k.acked += n
	return k.appendRange(dst, e.ack, n)
}

// appendRange acknowledges the last n deliveries up to one; of one it names both
// ends.
func (k *openwireCodec) appendRange(dst, last []byte, n int) []byte {
	at := len(dst)
	dst = append(dst, k.ackHead...)
	if n == 1 {
		dst = append(dst, last...)
	} else {
		dst = append(dst, 0)
	}
	dst = append(dst, last...)
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(n)), 0)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// appendAnswers implements answerer: where nothing is to be acknowledged, the
// broker still wants to know that there is room, at half of the prefetch.
func (k *openwireCodec) appendAnswers(dst []byte) []byte {
	n := k.received - k.acked
	if k.mode != ackAuto || n == 0 || n < k.prefetch/2 {
		return dst
	}
	k.acked += n
	return k.appendRange(dst, k.last, n)
}

func (k *openwireCodec) appendDisconnect(dst []byte) []byte {
	out, err := k.encoder.Append(dst, k.command(&wire.RemoveInfo{
		ObjectID: &wire.ConnectionID{Value: wire.Text(k.id)}, LastDeliveredSequenceID: -1,
	}, true))
	if err != nil {
		panic(err) // as above
	}
	return out
}

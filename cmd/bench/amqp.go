package bench

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// amqpProtocol is AMQP 1.0 over a byte stream: one session, and one link that
// sends or receives. Settled deliveries are those without --window, or with
// --ack auto.
type amqpProtocol struct{}

func (amqpProtocol) defaultPort() string { return "5672" }

func (amqpProtocol) destination(name string, topic bool) string {
	if topic {
		return "topic://" + name
	}
	return "queue://" + name
}

// Descriptors of what the generator says and hears.
const (
	amqpOpen        = 0x10
	amqpBegin       = 0x11
	amqpAttach      = 0x12
	amqpFlow        = 0x13
	amqpTransfer    = 0x14
	amqpDisposition = 0x15
	amqpEnd         = 0x17
	amqpClose       = 0x18
	amqpError       = 0x1d
	amqpAccepted    = 0x24
	amqpSource      = 0x28
	amqpTarget      = 0x29
	amqpSaslInit    = 0x41
	amqpSaslOutcome = 0x44
	amqpHeader      = 0x70
	amqpData        = 0x75

	amqpNull = 0x40
	amqpHead = 8 // bytes of a frame before its body

	amqpGreeting     = "AMQP\x00\x01\x00\x00"
	amqpSaslGreeting = "AMQP\x03\x01\x00\x00"
	amqpWindow       = 1 << 30
)

// open says everything up to begin at once: a broker answers in the same
// order.
func (amqpProtocol) open(rw io.ReadWriter, c credentials) (codec, error) {
	hello := []byte(amqpSaslGreeting)
	mechanism, response := "ANONYMOUS", ""
	if c.login != "" {
		mechanism, response = "PLAIN", "\x00"+c.login+"\x00"+c.passcode
	}
	hello = appendAMQPFrame(hello, 1, amqpList(amqpSaslInit, amqpSymbol(mechanism), amqpBinary(response)))
	if _, err := rw.Write(hello); err != nil {
		return nil, fmt.Errorf("send the SASL header: %w", err)
	}
	k := &amqpCodec{rw: rw}
	if err := k.await(rw, amqpSaslGreeting, amqpSaslOutcome); err != nil {
		return nil, err
	}
	hello = append(hello[:0], amqpGreeting...)
	hello = appendAMQPFrame(hello, 0, amqpList(amqpOpen, amqpString("bench-"+rand.Text()[:16]), amqpString(c.virtualHost), amqpUint(1<<20)))
	hello = appendAMQPFrame(hello, 0, amqpList(amqpBegin, amqpNothing, amqpUint(0), amqpUint(amqpWindow), amqpUint(amqpWindow)))
	if _, err := rw.Write(hello); err != nil {
		return nil, fmt.Errorf("send open: %w", err)
	}
	return k, k.await(rw, amqpGreeting, amqpBegin)
}

// await reads the broker's header, and frames up to a performative. Nothing
// follows that: the broker has not been asked for anything more.
func (*amqpCodec) await(r io.Reader, greeting string, last byte) error {
	head := make([]byte, amqpHead)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != greeting {
		return errors.Join(fmt.Errorf("the broker's header is %q: is this an AMQP 1.0 port?", head), err)
	}
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return fmt.Errorf("wait for performative %#x: %w", last, err)
		}
		size := binary.BigEndian.Uint32(head)
		if size < amqpHead || size > maxHandshake {
			return fmt.Errorf("a frame of %d bytes: is this an AMQP 1.0 port?", size)
		}
		body := make([]byte, size-amqpHead)
		if _, err := io.ReadFull(r, body); err != nil {
			return fmt.Errorf("wait for performative %#x: %w", last, err)
		}
		code, fields, err := amqpPerformative(body)
		switch {
		case err != nil:
			return err
		case code == amqpClose, code == amqpEnd:
			return &refusal{words: amqpWords(fields)}
		case code == amqpSaslOutcome && last == amqpSaslOutcome && amqpNumber(fields.next()) != 0:
			return &refusal{words: "the login was not accepted"}
		case code == last:
			return nil
		}
	}
}

// amqpCodec is one connection's. Its link is attached by publication or
// appendSubscribe.
type amqpCodec struct {
	rw      io.ReadWriter
	granted atomic.Int64 // messages that the broker lets the publisher send, in all
	sending bool

	// the consumer's
	cumulative bool
	credit     uint32
	received   uint32 // deliveries
	renewed    uint32 // received when credit was given last
	acked      uint32 // the delivery id behind the last that was acknowledged cumulatively
	closing    bool
}

func (*amqpCodec) peer() string { return "" }

// allowance implements crediter.
func (c *amqpCodec) allowance() int64 { return c.granted.Load() }

func (c *amqpCodec) publication(p publication, n int) (*frames, error) {
	switch {
	case p.size < stampSize:
		return nil, fmt.Errorf("a body of %d bytes cannot hold the %d-byte stamp", p.size, stampSize)
	case len(p.headers) > 0:
		return nil, errors.New("--header is for STOMP")
	}
	settled := amqpUbyte(0)
	if !p.confirm {
		settled = amqpUbyte(1)
	}
	c.sending = true
	attach := amqpList(amqpAttach, amqpString("out"), amqpUint(0), amqpFalse, settled, amqpNothing,
		amqpList(amqpSource), amqpList(amqpTarget, amqpString(p.destination)), amqpNothing, amqpNothing, amqpUint(0))
	if _, err := c.rw.Write(appendAMQPFrame(nil, 0, attach)); err != nil {
		return nil, fmt.Errorf("send attach: %w", err)
	}
	id, tag := append([]byte{0x70}, 0, 0, 0, 0), amqpBinary(string(make([]byte, stampSize)))
	flag := amqpFalse
	if !p.confirm {
		flag = amqpTrue
	}
	body := amqpList(amqpTransfer, amqpUint(0), id, tag, amqpUint(0), flag)
	// The fields are where they are by their sizes: descriptor (3), list head
	// (3), handle (1), then the id behind its constructor, and the tag's bytes.
	idAt := amqpHead + 3 + 3 + 1 + 1
	tagAt := amqpHead + 3 + 3 + 1 + 5 + 2
	if p.persistent {
		body = append(body, amqpList(amqpHeader, amqpTrue)...)
	}
	content := amqpBinary(string(filler(p.size)))
	body = append(append(body, 0, 0x53, amqpData), content...)
	frame := appendAMQPFrame(nil, 0, body)
	f := newFrames(frame, len(frame)-p.size, tagAt, n)
	f.idAt, f.idWide = idAt, true // delivery ids follow each other (AMQP 1.0, 2.8.9)
	return f, nil
}

func (c *amqpCodec) appendSubscribe(dst []byte, s subscription) []byte {
	settled := amqpUbyte(0)
	if s.ack == ackAuto {
		settled = amqpUbyte(1)
	}
	c.cumulative = s.ack == ackClient
	c.credit = 1000
	if s.prefetch > 0 {
		c.credit = uint32(s.prefetch)
	}
	dst = appendAMQPFrame(dst, 0, amqpList(amqpAttach, amqpString("in"), amqpUint(0), amqpTrue, settled, amqpUbyte(0),
		amqpList(amqpSource, amqpString(s.destination)), amqpList(amqpTarget)))
	return c.appendFlow(dst)
}

// appendFlow gives credit for what was received.
func (c *amqpCodec) appendFlow(dst []byte) []byte {
	c.renewed = c.received
	return appendAMQPFrame(dst, 0, amqpList(amqpFlow, amqpUint(c.received), amqpUint(amqpWindow), amqpUint(0), amqpUint(amqpWindow),
		amqpUint(0), amqpUint(c.received), amqpUint(c.credit)))
}

// appendAnswers implements answerer: credit is renewed when half is used.
func (c *amqpCodec) appendAnswers(dst []byte) []byte {
	if c.credit == 0 || c.received-c.renewed < max(1, c.credit/2) {
		return dst
	}
	return c.appendFlow(dst)
}

func (c *amqpCodec) appendAck(dst []byte, e *event) []byte {
	last := binary.BigEndian.Uint32(e.ack)
	first := last
	if c.cumulative {
		first = c.acked
		c.acked = last + 1
	}
	return appendAMQPFrame(dst, 0, amqpList(amqpDisposition, amqpTrue, amqpUint(first), amqpUint(last), amqpTrue, amqpList(amqpAccepted)))
}

// appendDisconnect closes the connection: the broker answers when it has taken
// what came before.
func (c *amqpCodec) appendDisconnect(dst []byte) []byte {
	c.closing = true
	return appendAMQPFrame(dst, 0, amqpList(amqpClose))
}

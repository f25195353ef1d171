package mqtt

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// The packets that the client knows, as first bytes.
const (
	connack   = 0x20
	puback    = 0x40
	pubrec    = 0x50
	pubrel    = 0x62
	pubcomp   = 0x70
	subscribe = 0x82
	suback    = 0x90
)

// unavailable is the return code of a CONNACK of a node that isn't, or will
// soon not be, the master.
const unavailable = 3

// patience is the longest that a client waits for a broker that lives.
const patience = 30 * time.Second

// Client is one side of an MQTT 3.1.1 session that outlives its connections.
// One goroutine uses it.
type Client struct {
	ID string
	// Publish returns the next message to send; nil when there is none for now.
	Publish func() *Message
	// Confirmed is told what the broker has confirmed.
	Confirmed func(*Message)
	// Received is told each message, of QoS 2 once for each identifier.
	Received func(topic, body string, qos byte)
	// Subscribed, which may be nil, is told each time the broker has taken Filter.
	Subscribed func()
	Window     int // publishes without confirmation
	Filter     string

	next     uint16
	unsent   []*outgoing         // published and not confirmed, in their order
	received map[uint16]struct{} // identifiers of QoS 2 between PUBLISH and PUBREL

	conn net.Conn
	in   *bufio.Reader
}

// Message is what a client publishes.
type Message struct {
	Topic, Body string
	QoS         byte
}

type outgoing struct {
	*Message
	id       uint16
	released bool // PUBREC has come
}

// Pending returns how many publishes the broker has not confirmed.
func (c *Client) Pending() int { return len(c.unsent) }

// Run serves the session on one connection until ctx or the connection ends.
// Errors of the connection are none of the session.
func (c *Client) Run(ctx context.Context, addr string) error {
	if err := c.connect(ctx, addr); err != nil {
		return c.lost(err)
	}
	defer c.conn.Close()
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	defer stop()
	if err := c.resume(); err != nil {
		return c.lost(err)
	}
	for {
		if err := c.fill(); err != nil {
			return c.lost(err)
		}
		if err := c.step(); err != nil {
			return c.lost(err)
		}
	}
}

// errProtocol is wrapped by what a broker must not do.
var errProtocol = errors.New("the broker broke the protocol")

func (c *Client) lost(err error) error {
	if errors.Is(err, errProtocol) {
		return err
	}
	return nil
}

func (c *Client) connect(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
	body := append(text(nil, "MQTT"), 4, 0, 0, 0)
	if err := c.write(0x10, text(body, c.ID)); err != nil {
		conn.Close()
		return err
	}
	first, answer, err := c.read()
	switch {
	case err != nil:
	case first == connack && len(answer) == 2 && answer[1] == unavailable:
		err = errors.New("the node serves nobody now")
	case first != connack || len(answer) != 2 || answer[1] != 0:
		err = fmt.Errorf("%w: CONNECT was answered with %x %x", errProtocol, first, answer)
	case answer[0] == 0: // a new session: what was received belongs to an old one
		if c.received != nil {
			err = fmt.Errorf("%w: the session of %s is gone", errProtocol, c.ID)
		}
		c.received = map[uint16]struct{}{}
	}
	if err != nil {
		conn.Close()
	}
	return err
}

// resume subscribes, and sends again what is not confirmed.
func (c *Client) resume() error {
	if c.Filter != "" {
		if err := c.write(subscribe, append(text([]byte{0xff, 0xff}, c.Filter), 2)); err != nil {
			return err
		}
	}
	for _, o := range c.unsent {
		if err := c.send(o, true); err != nil {
			return err
		}
	}
	return nil
}

// fill publishes up to the window.
func (c *Client) fill() error {
	for len(c.unsent) < c.Window {
		m := c.Publish()
		if m == nil {
			return nil
		}
		c.next = c.next%0xfff0 + 1
		o := &outgoing{Message: m, id: c.next}
		c.unsent = append(c.unsent, o)
		if err := c.send(o, false); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) send(o *outgoing, again bool) error {
	if o.released {
		return c.write(pubrel, binary.BigEndian.AppendUint16(nil, o.id))
	}
	first := 0x30 | o.QoS<<1
	if again {
		first |= 8
	}
	body := binary.BigEndian.AppendUint16(text(nil, o.Topic), o.id)
	return c.write(first, append(body, o.Body...))
}

// step handles one packet.
func (c *Client) step() error {
	first, body, err := c.read()
	if err != nil {
		return err
	}
	if first>>4 == 3 {
		return c.delivery(first, body)
	}
	if len(body) < 2 {
		return fmt.Errorf("%w: %x with a body of %d bytes", errProtocol, first, len(body))
	}
	id := binary.BigEndian.Uint16(body)
	switch first {
	case puback, pubcomp:
		c.confirmed(id)
	case pubrec:
		if i := c.find(id); i >= 0 {
			c.unsent[i].released = true
		}
		return c.write(pubrel, body)
	case pubrel:
		delete(c.received, id)
		return c.write(pubcomp, body)
	case suback:
		if c.Subscribed != nil {
			c.Subscribed()
		}
	default:
		return fmt.Errorf("%w: a packet %x", errProtocol, first)
	}
	return nil
}

func (c *Client) find(id uint16) int {
	return slices.IndexFunc(c.unsent, func(o *outgoing) bool { return o.id == id })
}

func (c *Client) confirmed(id uint16) {
	if i := c.find(id); i >= 0 {
		m := c.unsent[i].Message
		c.unsent = slices.Delete(c.unsent, i, i+1)
		c.Confirmed(m)
	}
}

func (c *Client) delivery(first byte, body []byte) error {
	qos := first >> 1 & 3
	n := 2 + int(binary.BigEndian.Uint16(body))
	topic := string(body[2:n])
	if qos == 0 {
		c.Received(topic, string(body[n:]), 0)
		return nil
	}
	id := binary.BigEndian.Uint16(body[n:])
	answer := body[n : n+2]
	if qos == 1 {
		c.Received(topic, string(body[n+2:]), 1)
		return c.write(puback, answer)
	}
	if _, known := c.received[id]; !known {
		c.received[id] = struct{}{}
		c.Received(topic, string(body[n+2:]), 2)
	}
	return c.write(pubrec, answer)
}

func (c *Client) write(first byte, body []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.conn.Write(append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...))
	return err
}

func (c *Client) read() (first byte, body []byte, err error) {
	if first, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return 0, nil, err
	}
	body = make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return first, body, err
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

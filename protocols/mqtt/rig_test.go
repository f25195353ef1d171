package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWait is how long a test waits for what must happen.
const testWait = 30 * time.Second

// rig is a broker with a frontend.
type rig struct {
	t       testing.TB
	options broker.Options
	broker  *broker.Broker
	front   *Frontend
	wheel   *protocols.Wheel
	values  protocols.Values
	log     *slog.Logger
	ids     uint64
	ends    []func()

	elsewhere string // where clients are sent
}

func newRig(tb testing.TB, values protocols.Values) *rig {
	tb.Helper()
	return newRigWith(tb, values, broker.Options{})
}

func newRigWith(tb testing.TB, values protocols.Values, o broker.Options) *rig {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("MQTT_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	converters := message.Converters{message.EncodingMQTT: Converter{}, message.EncodingHub: message.Hub{}}
	o.Name, o.Logger, o.Converters = "test", log, converters
	r := &rig{t: tb, options: o, values: values, log: log, wheel: protocols.NewWheel(10*time.Millisecond, log)}
	r.open()
	tb.Cleanup(func() {
		r.close()
		r.wheel.Close()
	})
	return r
}

func (r *rig) open() {
	r.t.Helper()
	b, err := broker.Open(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.broker = b
	r.front = New(Options{Broker: b, Logger: r.log, Server: "Entrepot/test", Converters: r.options.Converters})
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), testWait)
	defer cancel()
	if err := r.broker.Close(ctx); err != nil {
		r.t.Errorf("close the broker: %v", err)
	}
	for _, end := range r.ends {
		end()
	}
	r.ends = nil
}

// restart ends the broker and starts it again on the same data.
func (r *rig) restart() {
	r.t.Helper()
	r.close()
	r.open()
}

// dial connects without sending anything.
func (r *rig) dial() *client {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.ids++
	nc := &protocols.Conn{
		Conn: far, ID: r.ids, Remote: far.RemoteAddr(), Listener: "test", Values: r.values, Wheel: r.wheel,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if r.elsewhere != "" {
			r.front.Redirect(nc, r.elsewhere)
			return
		}
		r.front.Serve(nc)
	}()
	r.ends = append(r.ends, func() {
		_ = near.Close()
		select {
		case <-ended:
		case <-time.After(testWait):
			r.t.Error("the connection was not released")
		}
	})
	return &client{t: r.t, conn: near, in: bufio.NewReader(near), v: v5, ended: ended}
}

// client speaks MQTT as tests write it.
type client struct {
	t     testing.TB
	conn  net.Conn
	in    *bufio.Reader
	v     version
	ended chan struct{} // closed when the broker has released the connection
	kept  []packet      // messages that came while something else was waited for
}

// hello is what a test says in CONNECT.
type hello struct {
	v         version
	id        string
	clean     bool
	keepAlive uint16
	props     []byte
	user      string
	password  string
	will      string // topic
	willBody  string
	willQoS   byte
	retain    bool
	willProps []byte
}

func (h hello) packet() []byte {
	flags := byte(0)
	if h.clean {
		flags |= connectClean
	}
	if h.will != "" {
		flags |= connectWill | h.willQoS<<3
		if h.retain {
			flags |= connectWillRetain
		}
	}
	if h.user != "" {
		flags |= connectUserName | connectPassword
	}
	var b []byte
	if h.v == v31 {
		b = appendText(b, "MQIsdp")
	} else {
		b = appendText(b, "MQTT")
	}
	b = appendUint16(append(b, byte(h.v), flags), h.keepAlive)
	if h.v == v5 {
		b = append(appendVarint(b, len(h.props)), h.props...)
	}
	b = appendText(b, h.id)
	if h.will != "" {
		if h.v == v5 {
			b = append(appendVarint(b, len(h.willProps)), h.willProps...)
		}
		b = appendText(appendText(b, h.will), h.willBody)
	}
	if h.user != "" {
		b = appendText(appendText(b, h.user), h.password)
	}
	return wrap(typeConnect, 0, b)
}

func wrap(k packetType, flags byte, body []byte) []byte {
	return append(appendVarint([]byte{byte(k)<<4 | flags}, len(body)), body...)
}

// connect opens a session and returns the body of CONNACK.
func (r *rig) connect(h hello) (*client, []byte) {
	r.t.Helper()
	if h.v == 0 {
		h.v = v311
	}
	c := r.dial()
	c.v = h.v
	c.send(h.packet())
	return c, c.expect(typeConnack)
}

// client connects and has to be accepted.
func (r *rig) client(h hello) *client {
	r.t.Helper()
	c, ack := r.connect(h)
	if ack[1] != 0 {
		r.t.Fatalf("CONNACK says %#x", ack[1])
	}
	return c
}

func (c *client) send(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next packet, or an error within testWait.
func (c *client) read() (packet, error) {
	if len(c.kept) > 0 {
		p := c.kept[0]
		c.kept = c.kept[1:]
		return p, nil
	}
	return c.fresh()
}

// fresh reads the next packet from the connection.
func (c *client) fresh() (packet, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(testWait)); err != nil {
		return packet{}, err
	}
	first, err := c.in.ReadByte()
	if err != nil {
		return packet{}, err
	}
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return packet{}, err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(c.in, body)
	return packet{kind: packetType(first >> 4), flags: first & 0xf, body: body}, err
}

// expect reads a packet of that type and returns its body.
func (c *client) expect(k packetType) []byte {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %v: %v", k, err)
	}
	if p.kind != k {
		c.t.Fatalf("got %v %x, want %v", p.kind, p.body, k)
	}
	return p.body
}

// expectClosed reads up to the end of the connection, where nothing else may
// come.
func (c *client) expectClosed() {
	c.t.Helper()
	p, err := c.read()
	if err == nil {
		c.t.Fatalf("got %v %x, want the end", p.kind, p.body)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection is still open")
	}
}

// expectDisconnect wants a DISCONNECT with that reason, and then the end.
func (c *client) expectDisconnect(r reason) {
	c.t.Helper()
	if b := c.expect(typeDisconnect); reason(b[0]) != r {
		c.t.Fatalf("DISCONNECT says %#x, want %#x: %s", b[0], uint8(r), b)
	}
	c.expectClosed()
}

// sync waits until the broker has carried out what was sent, and returns what
// came meanwhile.
func (c *client) sync() (got []packet) {
	c.t.Helper()
	c.send([]byte{byte(typePingreq) << 4, 0})
	for {
		p, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		if p.kind == typePingresp {
			return got
		}
		got = append(got, p)
	}
}

// subscribe subscribes to filters with one QoS (and options), and returns the
// codes of SUBACK.
func (c *client) subscribe(options byte, filters ...string) []byte {
	c.t.Helper()
	return c.subscribeWith(nil, options, filters...)
}

func (c *client) subscribeWith(props []byte, options byte, filters ...string) []byte {
	c.t.Helper()
	b := appendUint16(nil, 77)
	if c.v == v5 {
		b = append(appendVarint(b, len(props)), props...)
	}
	for _, f := range filters {
		b = append(appendText(b, f), options)
	}
	c.send(wrap(typeSubscribe, 2, b))
	ack := c.expect(typeSuback)
	if !bytes.Equal(ack[:2], []byte{0, 77}) {
		c.t.Fatalf("SUBACK is for %x", ack[:2])
	}
	if c.v == v5 {
		return ack[3:]
	}
	return ack[2:]
}

func (c *client) unsubscribe(filters ...string) []byte {
	c.t.Helper()
	b := appendUint16(nil, 78)
	if c.v == v5 {
		b = append(b, 0)
	}
	for _, f := range filters {
		b = appendText(b, f)
	}
	c.send(wrap(typeUnsubscribe, 2, b))
	return c.expect(typeUnsuback)[2:]
}

// publishing is a PUBLISH as tests write it.
type publishing struct {
	topic, body string
	qos         byte
	id          uint16
	dup, retain bool
	props       []byte
}

func (p publishing) packet(v version) []byte {
	flags := p.qos << 1
	if p.dup {
		flags |= 8
	}
	if p.retain {
		flags |= 1
	}
	b := appendText(nil, p.topic)
	if p.qos > 0 {
		b = appendUint16(b, p.id)
	}
	if v == v5 {
		b = append(appendVarint(b, len(p.props)), p.props...)
	}
	return wrap(typePublish, flags, append(b, p.body...))
}

// publish sends a message and completes its handshake.
func (c *client) publish(p publishing) {
	c.t.Helper()
	if p.qos > 0 && p.id == 0 {
		p.id = 1
	}
	c.send(p.packet(c.v))
	switch p.qos {
	case 1:
		c.expectAck(typePuback, p.id, success)
	case 2:
		c.expectAck(typePubrec, p.id, success)
		c.ack(typePubrel, p.id)
		c.expectAck(typePubcomp, p.id, success)
	}
}

func (c *client) ack(k packetType, id uint16) { c.send(appendAck(nil, k, id, success, "", c.v)) }

// expectAck reads an acknowledgement. Messages that come before it are kept.
func (c *client) expectAck(k packetType, id uint16, r reason) {
	c.t.Helper()
	p, err := c.fresh()
	for ; err == nil && p.kind == typePublish; p, err = c.fresh() {
		c.kept = append(c.kept, p)
	}
	if err != nil {
		c.t.Fatalf("waiting for %v: %v", k, err)
	}
	if p.kind != k {
		c.t.Fatalf("got %v %x, want %v of %d", p.kind, p.body, k, id)
	}
	a, err := readAck(p, c.v)
	if err != nil {
		c.t.Fatal(err)
	}
	if a.id != id || a.reason != r {
		c.t.Fatalf("%v of %d says %#x, want %d and %#x", k, a.id, uint8(a.reason), id, uint8(r))
	}
}

// delivery is a PUBLISH from the broker.
type delivery struct {
	topic, body string
	qos         byte
	id          uint16
	dup, retain bool
	alias       uint16
	props       []byte // the whole section
}

func (c *client) parse(p packet) (d delivery) {
	c.t.Helper()
	f := fields{b: p.body}
	d.dup, d.qos, d.retain = p.flags&8 != 0, p.flags>>1&3, p.flags&1 != 0
	d.topic = string(f.text("topic"))
	if d.qos > 0 {
		d.id = f.uint16("id")
	}
	if c.v == v5 {
		d.props = f.take(f.varint("properties"), "properties")
		eachProperty(d.props, func(id property, _, value, _ []byte) {
			if id == propTopicAlias {
				d.alias = binary.BigEndian.Uint16(value)
			}
		})
	}
	d.body = string(f.b)
	if f.err != nil {
		c.t.Fatal(f.err)
	}
	return d
}

// receive reads a PUBLISH and acknowledges it.
func (c *client) receive() delivery {
	c.t.Helper()
	d := c.get()
	switch d.qos {
	case 1:
		c.ack(typePuback, d.id)
	case 2:
		c.ack(typePubrec, d.id)
		c.expectAck(typePubrel, d.id, success)
		c.ack(typePubcomp, d.id)
	}
	return d
}

// get reads a PUBLISH and leaves it unacknowledged.
func (c *client) get() delivery {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	if p.kind != typePublish {
		c.t.Fatalf("got %v %x, want a message", p.kind, p.body)
	}
	return c.parse(p)
}

// wantBodies receives messages with these bodies in this order.
func (c *client) wantBodies(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if d := c.receive(); d.body != w {
			c.t.Fatalf("got %q, want %q", d.body, w)
		}
	}
}

// wantNothing makes sure that nothing has come and the connection works.
func (c *client) wantNothing() {
	c.t.Helper()
	if got := c.sync(); len(got) > 0 {
		c.t.Fatalf("got %v %x", got[0].kind, got[0].body)
	}
}

// disconnect ends the connection in order and waits until the broker has
// noticed.
func (c *client) disconnect() {
	c.t.Helper()
	c.send([]byte{byte(typeDisconnect) << 4, 0})
	c.gone()
}

// drop ends the connection without a word.
func (c *client) drop() {
	c.t.Helper()
	_ = c.conn.Close()
	c.gone()
}

func (c *client) gone() {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(testWait):
		c.t.Fatal("the connection was not released")
	}
	_ = c.conn.Close()
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(testWait); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatal(what)
		}
	}
}

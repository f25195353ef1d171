package openwire

import (
	"bufio"
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
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testWait is how long a test waits for what must happen.
const testWait = 30 * time.Second

// rig is a broker in memory with a frontend.
type rig struct {
	t      testing.TB
	broker *broker.Broker
	front  *Frontend
	wheel  *protocols.Wheel
	values protocols.Values
	ids    uint64

	elsewhere string // where clients are sent
	users     int    // that connectUser has connected
}

func newRig(tb testing.TB, values protocols.Values, mods ...func(*broker.Options)) *rig {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	converters := message.Converters{message.EncodingOpenWire: Converter{}, message.EncodingHub: message.Hub{}}
	o := broker.Options{Name: "test", Logger: log, Converters: converters}
	for _, mod := range mods {
		mod(&o)
	}
	b, err := broker.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{t: tb, broker: b, values: values, wheel: protocols.NewWheel(10*time.Millisecond, log)}
	r.front = New(Options{Broker: b, Logger: log, Version: "test", Converters: converters})
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testWait)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("close the broker: %v", err)
		}
		r.wheel.Close()
	})
	return r
}

// dial serves one connection on a loopback socket and returns the client's
// end. The test ends only when the connection was released.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.ids++
	nc := &protocols.Conn{
		Conn: server, ID: r.ids, Remote: server.RemoteAddr(), Listener: "test", Values: r.values, Wheel: r.wheel,
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
	r.t.Cleanup(func() {
		_ = client.Close()
		select {
		case <-ended:
		case <-time.After(testWait):
			r.t.Error("the connection was not released")
		}
	})
	return client
}

// peer speaks OpenWire as tests write it.
type peer struct {
	t    testing.TB
	net  net.Conn
	in   *bufio.Reader
	e    *wire.Encoder
	d    *wire.Decoder
	id   string // of the connection
	last int32  // command id
	kept []wire.Structure
}

// negotiate connects and exchanges WireFormatInfos.
func (r *rig) negotiate(f wire.Format) *peer {
	r.t.Helper()
	conn := r.dial()
	c := &peer{t: r.t, net: conn, in: bufio.NewReader(conn), e: wire.NewEncoder(wire.Format{}), d: wire.NewDecoder(wire.Format{})}
	if info, ok := c.read().(*wire.WireFormatInfo); !ok || info.Magic != magic {
		r.t.Fatalf("the broker did not introduce itself: %v", info)
	}
	c.write(&wire.WireFormatInfo{Magic: magic, Version: int32(f.Version), MarshalledProperties: wire.AppendMap(nil, []message.Property{
		{Name: propTight, Value: message.BoolValue(f.Tight)},
		{Name: propCache, Value: message.BoolValue(f.CacheSize > 0)},
		{Name: propCacheSize, Value: message.Int32Value(int32(f.CacheSize))},
	})})
	c.e, c.d = wire.NewEncoder(f), wire.NewDecoder(f)
	if info, ok := c.read().(*wire.BrokerInfo); !ok || info.BrokerName.String() != "test" || info.BrokerID == nil {
		r.t.Fatalf("no BrokerInfo: %v", info)
	}
	return c
}

// connect opens a connection with session 1 and producer 1.
func (r *rig) connect(id string) *peer { return r.connectAs(id, wire.Format{Version: 12}) }

func (r *rig) connectAs(id string, f wire.Format) *peer {
	r.t.Helper()
	c := r.negotiate(f)
	c.id = id
	c.ask(&wire.ConnectionInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text(id)}, ClientID: wire.Text("client of " + id)})
	c.ask(&wire.SessionInfo{SessionID: &wire.SessionID{ConnectionID: wire.Text(id), Value: 1}})
	c.ask(&wire.ProducerInfo{ProducerID: c.producer()})
	return c
}

func (c *peer) producer() *wire.ProducerID {
	return &wire.ProducerID{ConnectionID: wire.Text(c.id), SessionID: 1, Value: 1}
}

func (c *peer) consumer(n int64) *wire.ConsumerID {
	return &wire.ConsumerID{ConnectionID: wire.Text(c.id), SessionID: 1, Value: n}
}

func (c *peer) tx(n int64) *wire.LocalTransactionID {
	return &wire.LocalTransactionID{ConnectionID: &wire.ConnectionID{Value: wire.Text(c.id)}, Value: n}
}

func queueNamed(name string) *wire.ActiveMQQueue {
	return &wire.ActiveMQQueue{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(name)}}
}

func topicNamed(name string) *wire.ActiveMQTopic {
	return &wire.ActiveMQTopic{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text(name)}}
}

func (c *peer) write(s wire.Structure) {
	c.t.Helper()
	frame, err := c.e.Append(nil, s)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.net.Write(frame); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next frame, nil at the end of the connection.
func (c *peer) read() wire.Structure {
	c.t.Helper()
	if err := c.net.SetReadDeadline(time.Now().Add(testWait)); err != nil {
		c.t.Fatal(err)
	}
	var size [4]byte
	if _, err := io.ReadFull(c.in, size[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the broker says nothing")
		}
		return nil
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.in, frame); err != nil {
		c.t.Fatal(err)
	}
	s, err := c.d.Decode(frame)
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// next returns the next frame that isn't a KeepAliveInfo or ConnectionControl,
// those first that came while an answer was waited for.
func (c *peer) next() wire.Structure {
	c.t.Helper()
	if len(c.kept) > 0 {
		s := c.kept[0]
		c.kept = c.kept[1:]
		return s
	}
	for {
		s := c.read()
		switch s.(type) {
		case *wire.KeepAliveInfo, *wire.ConnectionControl:
		default:
			return s
		}
	}
}

// request sends a command and returns the answer.
func (c *peer) request(cmd wire.Command) wire.Structure {
	c.t.Helper()
	c.last++
	cmd.Base().CommandID, cmd.Base().ResponseRequired = c.last, true
	c.write(cmd)
	for {
		s := c.read()
		if r, ok := s.(interface{ Correlation() int32 }); ok && r.Correlation() == c.last {
			return s
		}
		if s == nil {
			c.t.Fatalf("the connection ended instead of an answer to %s", cmd.StructureType())
		}
		c.kept = append(c.kept, s)
	}
}

// ask sends a command that must succeed.
func (c *peer) ask(cmd wire.Command) {
	c.t.Helper()
	if s := c.request(cmd); s.StructureType() != wire.TypeResponse {
		c.t.Fatalf("%s: %s", cmd.StructureType(), show(s))
	}
}

// refused sends a command that must fail with an exception of that class.
func (c *peer) refused(cmd wire.Command, class string) {
	c.t.Helper()
	s := c.request(cmd)
	x, ok := s.(*wire.ExceptionResponse)
	if !ok || x.Exception.Class.String() != class || x.Exception.Text.String() == "" {
		c.t.Fatalf("%s: got %s, want %s", cmd.StructureType(), show(s), class)
	}
}

func show(s wire.Structure) string {
	switch x := s.(type) {
	case *wire.ExceptionResponse:
		return x.Exception.Class.String() + ": " + x.Exception.Text.String()
	case *wire.ConnectionError:
		return "ConnectionError " + x.Exception.Class.String() + ": " + x.Exception.Text.String()
	case nil:
		return "the end"
	}
	return s.StructureType().String()
}

// consume adds consumer n.
func (c *peer) consume(n int64, d wire.Destination, prefetch int32) {
	c.t.Helper()
	c.ask(&wire.ConsumerInfo{ConsumerID: c.consumer(n), Destination: d, PrefetchSize: prefetch})
}

// text makes the nth message.
func (c *peer) text(n int64, d wire.Destination, body string) *wire.ActiveMQTextMessage {
	m := &wire.ActiveMQTextMessage{}
	m.ProducerID, m.Destination, m.Persistent, m.Priority = c.producer(), d, true, 4
	m.MessageID = &wire.MessageID{ProducerID: c.producer(), ProducerSequenceID: n}
	m.Timestamp = 1700000000000
	m.Content = wire.AppendText(nil, body)
	return m
}

// get expects a delivery with that text.
func (c *peer) get(want string) *wire.MessageDispatch {
	c.t.Helper()
	d, ok := c.next().(*wire.MessageDispatch)
	if !ok || d.Message == nil {
		c.t.Fatalf("no delivery of %q: %v", want, d)
	}
	if text, _, err := wire.ReadText(d.Message.Fields().Content); err != nil || text != want {
		c.t.Fatalf("got %q (%v), want %q", text, err, want)
	}
	return d
}

// none makes sure that no delivery is on its way: what was written before
// the answer to this came before it.
func (c *peer) none() {
	c.t.Helper()
	c.ask(&wire.FlushCommand{})
	for _, s := range c.kept {
		if _, ok := s.(*wire.MessageDispatch); ok {
			c.t.Fatalf("got %v", s)
		}
	}
}

// ack acknowledges deliveries from first to last.
func (c *peer) ack(kind int8, n int64, first, last *wire.MessageDispatch, count int32) *wire.MessageAck {
	a := &wire.MessageAck{
		ConsumerID: c.consumer(n), Destination: last.Destination, AckType: kind, MessageCount: count,
		LastMessageID: last.Message.Fields().MessageID,
	}
	if first != nil {
		a.FirstMessageID = first.Message.Fields().MessageID
	}
	return a
}

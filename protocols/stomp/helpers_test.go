package stomp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

func TestMain(m *testing.M) {
	// What go-stomp's Unsubscribe leaves behind when it misses a receipt: see goUnsubscribe.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/go-stomp/stomp/v3.waitWithTimeout.func1"))
}

// testWait is how long a test waits for what must happen.
const testWait = 60 * time.Second

// rig is a broker in memory with a frontend.
type rig struct {
	t      testing.TB
	broker *broker.Broker
	front  *Frontend
	wheel  *protocols.Wheel
	values protocols.Values
	log    *slog.Logger
	wrap   func(net.Conn) net.Conn
	ids    uint64
}

func newRig(tb testing.TB, values protocols.Values) *rig {
	tb.Helper()
	return newRigWith(tb, values, broker.Options{})
}

func newRigWith(tb testing.TB, values protocols.Values, o broker.Options) *rig {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("STOMP_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o.Name, o.Logger = "test", log
	o.Converters = message.Converters{message.EncodingSTOMP: Converter{}, message.EncodingHub: message.Hub{}}
	b, err := broker.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{t: tb, broker: b, values: values, log: log, wheel: protocols.NewWheel(10*time.Millisecond, log)}
	r.front = New(Options{
		Broker: b, Logger: log, Server: "Entrepot/test",
		Converters: o.Converters,
	})
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

// pipe serves one connection on a pipe and returns the client's end. The test
// ends only when the connection was released.
func (r *rig) pipe() net.Conn {
	client, server := net.Pipe()
	r.serve(client, server)
	return client
}

// tcp serves one connection on a loopback socket.
func (r *rig) tcp() net.Conn {
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
	r.serve(client, server)
	return client
}

func (r *rig) serve(client, server net.Conn) {
	if r.wrap != nil {
		server = r.wrap(server)
	}
	r.ids++
	nc := &protocols.Conn{
		Conn: server, ID: r.ids, Remote: server.RemoteAddr(), Listener: "test", Values: r.values, Wheel: r.wheel,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
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
}

// client speaks STOMP as tests write it.
type client struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	v    version
	kept []serverFrame // read while a receipt was waited for
}

// dial connects without sending anything.
func (r *rig) dial() *client {
	c := r.tcp()
	return &client{t: r.t, conn: c, in: bufio.NewReader(c), v: v12}
}

// connect connects with a version and more headers of CONNECT.
func (r *rig) connect(v version, headers ...string) *client {
	r.t.Helper()
	c := r.dial()
	c.v = v10
	defer func() { c.v = v }()
	c.send("CONNECT", append([]string{"accept-version:" + v.String(), "host:test"}, headers...)...)
	if f := c.read(); f.command != "CONNECTED" || f.get("version") != v.String() {
		r.t.Fatalf("got %v", f)
	}
	return c
}

// raw writes bytes.
func (c *client) raw(s string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(testWait))
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// send writes a frame of a command, headers as they stand, and perhaps a body
// behind a last element that begins with "\n".
func (c *client) send(command string, headers ...string) {
	c.t.Helper()
	body := "\n"
	if n := len(headers); n > 0 && strings.HasPrefix(headers[n-1], "\n") {
		headers, body = headers[:n-1], headers[n-1]
	}
	var b strings.Builder
	b.WriteString(command + "\n")
	for _, h := range headers {
		b.WriteString(h + "\n")
	}
	c.raw(b.String() + body + "\x00")
}

// do sends a frame with a receipt and waits for it.
func (c *client) do(command string, headers ...string) {
	c.t.Helper()
	c.send(command, append([]string{"receipt:r-" + command}, headers...)...)
	c.receipt("r-" + command)
}

// receipt waits for a RECEIPT. What comes before it is kept for read: receipts
// and messages have no order among them.
func (c *client) receipt(id string) {
	c.t.Helper()
	for {
		f, err := c.next(testWait)
		switch {
		case err != nil:
			c.t.Fatalf("no RECEIPT %s: %v", id, err)
		case f.command == "ERROR":
			c.t.Fatalf("got %v, want RECEIPT %s", f, id)
		case f.command == "RECEIPT" && f.get("receipt-id") == id:
			return
		}
		c.kept = append(c.kept, f)
	}
}

// serverFrame is a frame as a client sees it, with decoded headers.
type serverFrame struct {
	command string
	headers []string // "key:value"
	body    string
}

func (f serverFrame) get(key string) string {
	for _, h := range f.headers {
		if k, v, _ := strings.Cut(h, ":"); k == key {
			return v
		}
	}
	return ""
}

func (f serverFrame) has(key string) bool {
	return slices.ContainsFunc(f.headers, func(h string) bool { return strings.HasPrefix(h, key+":") })
}

func (f serverFrame) String() string {
	body := f.body
	if len(body) > 200 {
		body = body[:200] + "..."
	}
	return f.command + " " + strings.Join(f.headers, " | ") + " || " + body
}

// read returns the next frame, or fails the test.
func (c *client) read() serverFrame {
	c.t.Helper()
	if len(c.kept) > 0 {
		f := c.kept[0]
		c.kept = c.kept[1:]
		return f
	}
	f, err := c.next(testWait)
	if err != nil {
		c.t.Fatalf("no frame: %v", err)
	}
	return f
}

// next reads a frame. Heart-beats are skipped.
func (c *client) next(wait time.Duration) (serverFrame, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(wait))
	return readFrame(c.in, c.v)
}

func readFrame(in *bufio.Reader, v version) (f serverFrame, err error) {
	line := "\n"
	for line == "\n" {
		if line, err = in.ReadString('\n'); err != nil {
			return f, err
		}
	}
	f.command = strings.TrimSuffix(line, "\n")
	length := -1
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return f, err
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			break
		}
		if f.command != "CONNECTED" && v > v10 {
			k, val, ok := strings.Cut(line, ":")
			if !ok || strings.Contains(val, ":") {
				return f, errors.New("header line is not escaped: " + line)
			}
			line = string(unescapeInPlace([]byte(k))) + ":" + string(unescapeInPlace([]byte(val)))
		}
		f.headers = append(f.headers, line)
		if n, ok := strings.CutPrefix(line, "content-length:"); ok && length < 0 {
			u, _ := parseUint([]byte(n))
			length = int(u)
		}
	}
	if length < 0 {
		f.body, err = in.ReadString(0)
		f.body = strings.TrimSuffix(f.body, "\x00")
		return f, err
	}
	body := make([]byte, length+1)
	if _, err = io.ReadFull(in, body); err != nil {
		return f, err
	}
	if body[length] != 0 {
		return f, errors.New("no NUL after the body")
	}
	f.body = string(body[:length])
	return f, nil
}

// message reads a MESSAGE with that body.
func (c *client) message(body string) serverFrame {
	c.t.Helper()
	f := c.read()
	if f.command != "MESSAGE" || f.body != body {
		c.t.Fatalf("got %v, want MESSAGE with body %q", f, body)
	}
	return f
}

// error reads an ERROR whose message is as given.
func (c *client) error(message string) serverFrame {
	c.t.Helper()
	f := c.read()
	if f.command != "ERROR" || f.get("message") != message {
		c.t.Fatalf("got %v, want ERROR %q", f, message)
	}
	return f
}

// quiet checks that nothing else came, and the connection still works.
func (c *client) quiet() {
	c.t.Helper()
	c.do("BEGIN", "transaction:alive")
	c.do("ABORT", "transaction:alive")
	if len(c.kept) > 0 {
		c.t.Fatalf("got %v, want nothing", c.kept)
	}
}

// closed checks that the server closes the connection.
func (c *client) closed() {
	c.t.Helper()
	f, err := c.next(testWait)
	if err == nil {
		c.t.Fatalf("got %v, want the end of the connection", f)
	}
	if !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %v, want EOF", err)
	}
}

// eventually waits for a condition.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(testWait); !ok(); {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// session returns a session of the broker without a connection.
func (r *rig) session() *broker.Session {
	r.t.Helper()
	s, err := r.broker.Connect(broker.ConnectRequest{Protocol: "test", Sink: nowhere{}})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// nowhere is the sink of a session without a connection.
type nowhere struct{}

func (nowhere) Deliver(broker.Delivery) {}
func (nowhere) Resume()                 {}
func (nowhere) Closed(error)            {}

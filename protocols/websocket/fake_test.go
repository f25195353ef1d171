package websocket

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/entrepot-mq/entrepot/protocols"
)

// fakeFrontend serves with a function.
type fakeFrontend struct {
	name    string
	options []string
	serve   func(*protocols.Conn)
}

func (f *fakeFrontend) Name() string            { return f.name }
func (f *fakeFrontend) Options() []string       { return f.options }
func (f *fakeFrontend) Serve(c *protocols.Conn) { f.serve(c) }

// copyBack sends back what it reads, in whatever pieces it comes.
func copyBack(c *protocols.Conn) {
	c.Authenticated()
	buf := make([]byte, 4096)
	for {
		err := c.WaitReadable()
		n := 0
		if err == nil {
			n, err = c.Read(buf)
		}
		if err == nil {
			_, err = c.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	c.Close()
}

// collect reads until the end and tells what it read and how it ended.
type collected struct {
	text   string
	err    error
	binary bool
}

func collector() (func(*protocols.Conn), chan collected) {
	out := make(chan collected, 1)
	return func(c *protocols.Conn) {
		c.Authenticated()
		var b bytes.Buffer
		_, err := b.ReadFrom(c)
		w, ok := c.Conn.(protocols.MessageWriter)
		c.Close()
		out <- collected{b.String(), err, ok && w.Binary()}
	}, out
}

func families(serve func(*protocols.Conn)) map[string]protocols.Frontend {
	return map[string]protocols.Frontend{
		protocols.STOMP: &fakeFrontend{name: protocols.STOMP, options: []string{"stomp.nack"}, serve: serve},
		protocols.MQTT:  &fakeFrontend{name: protocols.MQTT, serve: serve},
	}
}

// start runs a ws listener and returns its address.
func start(t testing.TB, fs map[string]protocols.Frontend, options string) string {
	t.Helper()
	discard := slog.New(slog.DiscardHandler)
	s := protocols.NewServer(protocols.Options{
		Frontends: map[string]protocols.Frontend{protocols.WebSocket: New(fs, discard)}, Logger: discard,
	})
	t.Cleanup(s.Close)
	c, err := protocols.ParseListener("ws://127.0.0.1:0?" + options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.Background(), []protocols.ListenerConfig{c}); err != nil {
		t.Fatal(err)
	}
	return s.Listeners()[0].Addr().String()
}

// dial opens a WebSocket.
func dial(t testing.TB, address string, d websocket.Dialer, h http.Header) *websocket.Conn {
	t.Helper()
	c, res, err := d.Dial("ws://"+address+"/", h)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	t.Cleanup(func() { c.Close() })
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// rawDial opens a TCP connection.
func rawDial(t testing.TB, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

const upgradeRequest = "GET /any/path HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// rawUpgrade opens a WebSocket for frames made by hand.
func rawUpgrade(t testing.TB, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := rawDial(t, address)
	send(t, c, upgradeRequest)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	res.Body.Close()
	return c, r
}

func send(t testing.TB, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// frame makes a client's frame of less than 64 KiB; its mask is zero.
func frame(first byte, payload string) string {
	b := []byte{first}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = append(b, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

const (
	fin        = 0x80
	rsv1       = 0x40
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
)

// memConn is a connection that reads prepared bytes and keeps what is written.
type memConn struct {
	in  *bytes.Reader
	mu  sync.Mutex
	out bytes.Buffer
}

func (c *memConn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(p)
}

func (c *memConn) Close() error        { return nil }
func (c *memConn) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func (c *memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

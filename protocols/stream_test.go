package protocols

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// tcpPair returns both ends of a TCP connection, the first as a stream.
func tcpPair(t testing.TB) (*stream, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return newStream(server), client
}

func TestWaitReadableReturnsWhenThereIsSomething(t *testing.T) {
	s, client := tcpPair(t)
	waited := make(chan error)
	go func() { waited <- s.WaitReadable() }()
	select {
	case err := <-waited:
		t.Fatal("it did not wait:", err)
	case <-time.After(20 * time.Millisecond):
	}
	send(t, client, "abc")
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	expect(t, s, "abc")
	send(t, client, "def")
	for range 2 { // what is there already is no change that the poller tells
		if err := s.WaitReadable(); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, s, "def")
	client.Close()
	if err := s.WaitReadable(); err != nil {
		t.Errorf("at the end: %v", err)
	}
	expectEnd(t, s, "")
}

func TestWaitReadableEndsByDeadlineAndClose(t *testing.T) {
	s, _ := tcpPair(t)
	if err := s.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReadable(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- s.WaitReadable() }()
	s.Close()
	if err := <-waited; !errors.Is(err, net.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

func TestBytesLookedAtAreReadAgain(t *testing.T) {
	s, client := tcpPair(t)
	send(t, client, strings.Repeat("x", 100))
	for have := 0; have < 100; {
		b, err := s.fill(100)
		if err != nil {
			t.Fatal(err)
		}
		have = len(b)
	}
	if _, err := s.fill(100); !errors.Is(err, errTooMuch) {
		t.Errorf("above the limit: %v", err)
	}
	if err := s.WaitReadable(); err != nil {
		t.Fatal(err)
	}
	s.consume(1)
	send(t, client, "end")
	client.Close()
	expectEnd(t, s, strings.Repeat("x", 99)+"end")
}

func TestWaitReadableOnTLSLosesNothing(t *testing.T) {
	a := newAuthority(t)
	pair := a.issue("server", 2)
	s, client := tcpPair(t)
	server := newStream(tls.Server(s, &tls.Config{Certificates: []tls.Certificate{pair}}))
	want := strings.Repeat("0123456789abcdef", 10000)
	go func() {
		c := tls.Client(client, &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
		for rest, n := want, 1; len(rest) > 0; n *= 2 {
			k := min(n, len(rest))
			_, _ = io.WriteString(c, rest[:k])
			rest = rest[k:]
		}
		c.Close()
	}()
	var got strings.Builder
	buf := make([]byte, 4096)
	for {
		err := server.WaitReadable()
		n := 0
		if err == nil {
			n, err = server.Read(buf)
		}
		got.Write(buf[:n])
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
	}
	if got.String() != want {
		t.Errorf("%d bytes of %d", got.Len(), len(want))
	}
}

func TestWriteBuffersWritesAll(t *testing.T) {
	s, client := tcpPair(t)
	c := &Conn{Conn: s}
	b := net.Buffers{[]byte("a"), []byte("bc"), nil, []byte("def")}
	if n, err := c.WriteBuffers(&b); n != 6 || err != nil || s.out.Load() != 6 {
		t.Errorf("%d, %v, counted %d", n, err, s.out.Load())
	}
	expect(t, client, "abcdef")
	plain, other := net.Pipe()
	go func() { _, _ = (&Conn{Conn: plain}).WriteBuffers(&net.Buffers{[]byte("x"), []byte("y")}) }()
	expect(t, other, "xy")
}

// Closing a socket with unread input resets the connection, and the client
// never sees what was written last.
func TestGoodbyeLetsTheLastWordsArrive(t *testing.T) {
	s, client := tcpPair(t)
	send(t, client, strings.Repeat("x", 1000))
	if err := s.WaitReadable(); err != nil {
		t.Fatal(err)
	}
	send(t, s, "ERROR")
	done := make(chan struct{})
	go func() {
		(&Conn{Conn: s}).Goodbye()
		close(done)
	}()
	expectEnd(t, client, "ERROR")
	client.Close()
	<-done
}

func TestAConnWithoutListenerWorks(t *testing.T) {
	a, b := net.Pipe()
	c := &Conn{Conn: a}
	c.Authenticated()
	if err := c.WaitReadable(); err != nil {
		t.Error(err)
	}
	c.Abort()
	expectEnd(t, b, "")
}

func BenchmarkWaitAndRead(b *testing.B) {
	s, client := tcpPair(b)
	buf, ping := make([]byte, 4096), []byte("ping")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(ping); err != nil {
			b.Fatal(err)
		}
		if err := s.WaitReadable(); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
}

package websocket

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/entrepot-mq/entrepot/protocols"
)

func TestReadStreamsAcrossFramesAndMessages(t *testing.T) {
	serve, got := collector()
	c, _ := rawUpgrade(t, start(t, families(serve), ""))
	long := strings.Repeat("0123456789", 2000)
	send(t, c, frame(fin|opText, "one ")+frame(opText, "two ")+frame(opContinue, "three ")+frame(fin|opContinue, "four ")+
		frame(fin|opText, "")+frame(fin|opBinary, "\x00\xff")+frame(fin|opText, long)+frame(fin|opClose, "\x03\xe8"))
	if r := <-got; r.text != "one two three four \x00\xff"+long || r.err != nil || !r.binary {
		t.Errorf("got %d bytes, %v, binary=%t", len(r.text), r.err, r.binary)
	}
}

func TestOneByteAtATimeIsReadTheSame(t *testing.T) {
	serve, got := collector()
	c := rawDial(t, start(t, families(serve), ""))
	text := upgradeRequest + frame(opText, "CONN") + frame(fin|opPing, "p") + frame(fin|opContinue, "ECT") + frame(fin|opClose, "\x03\xe8")
	for i := range len(text) {
		send(t, c, text[i:i+1])
	}
	if r := <-got; r.text != "CONNECT" || r.err != nil || r.binary {
		t.Errorf("got %+v", r)
	}
}

// The engine refuses data that came with the request; here it waits its turn.
func TestFramesSentWithTheRequestAreNotLost(t *testing.T) {
	serve, got := collector()
	c := rawDial(t, start(t, families(serve), ""))
	send(t, c, upgradeRequest+frame(fin|opText, "early")+frame(fin|opClose, ""))
	if r := <-got; r.text != "early" || r.err != nil {
		t.Errorf("got %+v", r)
	}
}

func TestMessagesOfEverySizeComeBack(t *testing.T) {
	for _, options := range []string{"", "websocket.compression=true"} {
		address := start(t, families(copyBack), options)
		for _, compress := range []bool{false, true} {
			c := dial(t, address, websocket.Dialer{EnableCompression: compress}, nil)
			for _, size := range []int{1, 125, 126, 4096, 4097, 65535, 65536, 200_000} {
				want := bytes.Repeat([]byte("abcdefg\x00"), size/8+1)[:size]
				sent := make(chan error, 1)
				go func() { sent <- c.WriteMessage(websocket.BinaryMessage, want) }()
				var got []byte
				for len(got) < size {
					kind, p, err := c.ReadMessage()
					if err != nil || kind != websocket.BinaryMessage {
						t.Fatalf("%s, %d bytes: kind %d, %v", options, size, kind, err)
					}
					got = append(got, p...)
				}
				if err := <-sent; err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("%s, %d bytes: something else came back", options, size)
				}
			}
		}
	}
}

func TestWritesAreCollectedUntilFlush(t *testing.T) {
	step := make(chan struct{})
	serve := func(c *protocols.Conn) {
		defer c.Goodbye()
		w := c.Conn.(protocols.MessageWriter)
		for _, m := range []string{"MESSAGE\n\na\x00", "\n", strings.Repeat("x", 100_000), "last"} {
			if err := w.WriteMessage([]byte(m), true); err != nil {
				t.Error(err)
			}
			if m == "\n" {
				<-step
			}
		}
		if err := w.Flush(); err != nil {
			t.Error(err)
		}
	}
	c := dial(t, start(t, families(serve), ""), websocket.Dialer{}, nil)
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	close(step)
	for _, want := range []string{"MESSAGE\n\na\x00", "\n", strings.Repeat("x", 100_000), "last"} {
		kind, p, err := c.ReadMessage()
		if err != nil || kind != websocket.TextMessage || string(p) != want {
			t.Fatalf("kind %d, %d bytes, %v, want %d", kind, len(p), err, len(want))
		}
	}
}

func TestTheAnswerIsBinaryWhenTheClientIs(t *testing.T) {
	address := start(t, families(copyBack), "")
	for _, tt := range []struct {
		name       string
		kind, want int
		text       string
	}{
		{"text", websocket.TextMessage, websocket.TextMessage, "a"},
		{"binary", websocket.BinaryMessage, websocket.BinaryMessage, "a"},
		{"what is no UTF-8", websocket.TextMessage, websocket.BinaryMessage, "\xff"},
	} {
		c := dial(t, address, websocket.Dialer{}, nil)
		if err := c.WriteMessage(tt.kind, []byte(tt.text)); err != nil {
			t.Fatal(err)
		}
		if kind, p, err := c.ReadMessage(); kind != tt.want || string(p) != tt.text || err != nil {
			t.Errorf("%s: got kind %d %q, %v", tt.name, kind, p, err)
		}
	}
}

func TestTextIsRefusedWhereTheProtocolIsBinary(t *testing.T) {
	serve, got := collector()
	c := dial(t, start(t, families(serve), ""), websocket.Dialer{Subprotocols: []string{"mqtt"}}, nil)
	if err := c.WriteMessage(websocket.TextMessage, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseUnsupportedData) {
		t.Errorf("ended with %v", err)
	}
	if r := <-got; !errors.Is(r.err, errText) {
		t.Errorf("the frontend got %v", r.err)
	}
}

func TestPingsAreAnsweredWhileTheFrontendReads(t *testing.T) {
	c := dial(t, start(t, families(copyBack), ""), websocket.Dialer{}, nil)
	pongs := make(chan string, 1)
	c.SetPongHandler(func(s string) error { pongs <- s; return nil })
	if err := c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	if s := <-pongs; s != "are you there" {
		t.Errorf("pong %q", s)
	}
}

func TestCloseFramesAreExchanged(t *testing.T) {
	for _, tt := range []struct {
		name, sent string
		answer     int
		err        error // what the frontend reads, io.EOF being nil
	}{
		{"normal", frame(fin|opClose, "\x03\xe8"), websocket.CloseNormalClosure, nil},
		{"going away", frame(fin|opClose, "\x03\xe9"), websocket.CloseGoingAway, nil},
		{"without code", frame(fin|opClose, ""), websocket.CloseNoStatusReceived, nil},
		{"a reserved bit", frame(fin|rsv1|opText, "x"), websocket.CloseProtocolError, errSome},
		{"an unknown opcode", frame(fin|0x3, "x"), websocket.CloseProtocolError, errSome},
		{"a continuation of nothing", frame(fin|opContinue, "x"), websocket.CloseProtocolError, errSome},
		{"a message within a message", frame(opText, "x") + frame(fin|opText, "y"), websocket.CloseProtocolError, errSome},
		{"a ping in pieces", frame(opPing, "x"), websocket.CloseProtocolError, errSome},
		{"no mask", "\x81\x01x", websocket.CloseProtocolError, errSome},
		{"a length of more than 63 bits", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", websocket.CloseMessageTooBig, errTooBig},
		{"a message declared above the limit", "\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00", websocket.CloseMessageTooBig, errTooBig},
	} {
		serve, got := collector()
		c, r := rawUpgrade(t, start(t, families(serve), ""))
		send(t, c, tt.sent)
		answer, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		code := websocket.CloseNoStatusReceived
		if len(answer) >= 4 {
			code = int(answer[2])<<8 | int(answer[3])
		}
		if len(answer) < 2 || answer[0] != fin|opClose || len(answer) != 2+int(answer[1]) || code != tt.answer {
			t.Errorf("%s: answered %q", tt.name, answer)
		}
		res := <-got
		if errors.Is(tt.err, errSome) && res.err == nil || !errors.Is(tt.err, errSome) && !errors.Is(res.err, tt.err) {
			t.Errorf("%s: the frontend got %v", tt.name, res.err)
		}
	}
}

// errSome stands for any error.
var errSome = errors.New("some error")

func TestAConnectionThatBreaksIsNoEnd(t *testing.T) {
	serve, got := collector()
	c, _ := rawUpgrade(t, start(t, families(serve), ""))
	send(t, c, frame(fin|opText, "half a message")[:10])
	c.Close()
	if r := <-got; !errors.Is(r.err, io.ErrUnexpectedEOF) || r.text != "half" {
		t.Errorf("got %+v", r)
	}
}

func TestTheSizeOfAMessageIsBounded(t *testing.T) {
	for _, compress := range []bool{false, true} {
		serve, got := collector()
		address := start(t, families(serve), "wireFormat.maxFrameSize=1000&websocket.compression=true")
		c := dial(t, address, websocket.Dialer{EnableCompression: compress}, nil)
		for _, size := range []int{1000, 1000, 1001} {
			if err := c.WriteMessage(websocket.BinaryMessage, make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
			t.Errorf("compress=%t: ended with %v", compress, err)
		}
		if r := <-got; !errors.Is(r.err, errTooBig) || len(r.text) < 2000 {
			t.Errorf("compress=%t: the frontend got %d bytes, %v", compress, len(r.text), r.err)
		}
	}
}

// A few kilobytes that inflate to megabytes cost neither memory nor, beyond
// the limit, time.
func TestABombIsNotInflated(t *testing.T) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 16 { // to less than a hundredth
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	type result struct {
		n   int64
		err error
	}
	got := make(chan result, 1)
	serve := func(c *protocols.Conn) {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 4096))
		c.Close()
		got <- result{n, err}
	}
	address := start(t, families(serve), "wireFormat.maxFrameSize=1m&websocket.compression=true")
	c := rawDial(t, address)
	send(t, c, strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go func() {
		first := byte(rsv1 | opBinary)
		for rest := packed.Bytes(); len(rest) > 0; first = opContinue {
			n := min(len(rest), 60_000)
			if _, err := io.WriteString(c, frame(first, string(rest[:n]))); err != nil {
				return // it has closed
			}
			rest = rest[n:]
		}
	}()
	r := <-got
	runtime.ReadMemStats(&after)
	if !errors.Is(r.err, errTooBig) || r.n > 1<<20 {
		t.Errorf("read %d bytes, %v", r.n, r.err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}

func TestCompressionIsOffUnlessAskedFor(t *testing.T) {
	for options, want := range map[string]string{"": "", "websocket.compression=true": "permessage-deflate"} {
		d := websocket.Dialer{EnableCompression: true}
		c, res, err := d.Dial("ws://"+start(t, families(copyBack), options)+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		c.Close()
		if got := res.Header.Get("Sec-Websocket-Extensions"); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q: extensions %q", options, got)
		}
	}
}

func TestTheServerPingsAndEndsASilentClient(t *testing.T) {
	serve, got := collector()
	address := start(t, families(serve), "websocket.pingInterval=50")
	alive := dial(t, address, websocket.Dialer{}, nil)
	pings := 0
	answer := alive.PingHandler()
	alive.SetPingHandler(func(s string) error {
		if pings++; pings == 6 {
			return errors.New("enough")
		}
		return answer(s)
	})
	if _, _, err := alive.ReadMessage(); err == nil || err.Error() != "enough" {
		t.Errorf("after %d pings: %v", pings, err)
	}
	alive.Close()
	<-got

	half, r := rawUpgrade(t, address) // it never answers
	if p, err := io.ReadAll(r); err != nil || !bytes.HasPrefix(p, []byte{fin | opPing, 0}) {
		t.Errorf("read %q, %v", p, err)
	}
	half.Close()
	if res := <-got; res.err == nil {
		t.Error("the frontend was not told")
	}
}

func TestAClientThatReadsNothingMeetsTheWriteDeadline(t *testing.T) {
	got := make(chan error, 1)
	serve := func(c *protocols.Conn) {
		defer c.Abort()
		c.Authenticated()
		if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				got <- err
				return
			}
		}
	}
	rawUpgrade(t, start(t, families(serve), ""))
	var timeout interface{ Timeout() bool }
	if err := <-got; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v", err)
	}
}

func TestReadDeadlinesAndAbortEndReading(t *testing.T) {
	for _, end := range []func(*protocols.Conn){
		func(c *protocols.Conn) { _ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
		func(c *protocols.Conn) { c.Wheel.After(10*time.Millisecond, c.Abort) },
	} {
		got := make(chan error, 1)
		serve := func(c *protocols.Conn) {
			defer c.Close()
			end(c)
			err := c.WaitReadable()
			_, again := c.Read(make([]byte, 1))
			if err == nil || !errors.Is(again, err) {
				t.Errorf("waiting: %v, then reading: %v", err, again)
			}
			got <- err
		}
		rawUpgrade(t, start(t, families(serve), ""))
		<-got
	}
}

// A message may be read in pieces, so the echo collects it: as many answers
// as messages, or both sides end up writing.
func BenchmarkMessages(b *testing.B) {
	const size = 1024
	serve := func(c *protocols.Conn) {
		defer c.Close()
		c.Authenticated()
		p := make([]byte, size)
		for {
			if _, err := io.ReadFull(c, p); err != nil {
				return
			}
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}
	c := dial(b, start(b, families(serve), ""), websocket.Dialer{}, nil)
	p := make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.WriteMessage(websocket.BinaryMessage, p); err != nil {
			b.Fatal(err)
		}
		if _, _, err := c.ReadMessage(); err != nil {
			b.Fatal(err)
		}
	}
}

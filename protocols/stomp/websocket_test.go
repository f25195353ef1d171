package stomp

import (
	"net"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// messageConn is a message-oriented transport over a pipe: each message is
// kept as it was written.
type messageConn struct {
	net.Conn
	binary bool
	mu     sync.Mutex
	sent   []sentMessage
}

type sentMessage struct {
	data    string
	text    bool
	flushed bool
}

func (m *messageConn) WriteMessage(p []byte, text bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, sentMessage{data: string(p), text: text})
	return nil
}

func (m *messageConn) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.sent {
		m.sent[i].flushed = true
	}
	return nil
}

func (m *messageConn) Binary() bool { return m.binary }

// take waits for n flushed messages and returns them.
func (m *messageConn) take(t *testing.T, n int) []sentMessage {
	t.Helper()
	var out []sentMessage
	eventually(t, "the messages are written and flushed", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.sent) < n || !m.sent[n-1].flushed {
			return false
		}
		out, m.sent = m.sent[:n:n], m.sent[n:]
		return true
	})
	for _, s := range out {
		if s.text && !utf8.ValidString(s.data) {
			t.Errorf("text message is not UTF-8: %q", s.data)
		}
	}
	return out
}

func TestOneFrameIsOneMessageOfAWebSocket(t *testing.T) {
	for _, binary := range []bool{false, true} {
		r := newRig(t, nil)
		var mc *messageConn
		r.wrap = func(c net.Conn) net.Conn {
			mc = &messageConn{Conn: c, binary: binary}
			return mc
		}
		c := &client{t: t, conn: r.pipe()}
		c.raw("CONNECT\naccept-version:1.2\nclient-id:me\n\n\x00\n")
		c.raw("SUBSCRIBE\nid:s\ndestination:/queue/a\nreceipt:1\n\n\x00")
		got := mc.take(t, 2)
		if got[0].data != "CONNECTED\nversion:1.2\nsession:me\nserver:Entrepot/test\nheart-beat:0,0\n\n\x00" {
			t.Errorf("got %q", got[0].data)
		}
		if got[1].data != "RECEIPT\nreceipt-id:1\n\n\x00" {
			t.Errorf("got %q", got[1].data)
		}
		c.raw("SEND\ndestination:/queue/a\n\ntext\x00SEND\ndestination:/queue/a\ncontent-length:2\n\n\xff\x00\x00")
		large := strings.Repeat("x", 300_000)
		c.raw("SEND\ndestination:/queue/a\n\n" + large + "\x00")
		got = append(got, mc.take(t, 3)...)
		for i, body := range []string{"text", "\xff\x00", large} {
			if m := got[2+i]; !strings.HasPrefix(m.data, "MESSAGE\n") || !strings.HasSuffix(m.data, "\n\n"+body+"\x00") {
				t.Errorf("got %.200q", m.data)
			}
		}
		for i, m := range got {
			if want := !binary && i != 3; m.text != want {
				t.Errorf("message %d: text is %v", i, m.text)
			}
		}
		c.raw("\n") // a heart-beat
		c.raw("DISCONNECT\nreceipt:bye\n\n\x00")
		if m := mc.take(t, 1)[0]; m.data != "RECEIPT\nreceipt-id:bye\n\n\x00" {
			t.Errorf("got %q", m.data)
		}
	}
}

func TestHeartBeatIsAMessageOfItsOwn(t *testing.T) {
	r := newRig(t, nil)
	var mc *messageConn
	r.wrap = func(c net.Conn) net.Conn {
		mc = &messageConn{Conn: c}
		return mc
	}
	c := &client{t: t, conn: r.pipe()}
	c.raw("CONNECT\naccept-version:1.2\nheart-beat:0,100\n\n\x00")
	if got := mc.take(t, 3); got[1].data != "\n" || got[2].data != "\n" || !got[1].text {
		t.Errorf("got %+v", got[1:])
	}
}

package wire

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// fakeBroker sends bytes to whoever connects, and closes.
func fakeBroker(t *testing.T, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write(answer)
		_ = c.Close()
	}()
	return l.Addr().String()
}

func TestFramesComeBackAsTheyWereSent(t *testing.T) {
	sent := New("SEND", "destination", "/queue/a:b", "k\\\n", "v\r\\c")
	sent.Body = []byte("a\x00b\n")
	c, err := Dial(fakeBroker(t, append([]byte("\n\r\n"), Encode(sent)...)), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Read(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got.Command != "SEND" || string(got.Body) != "a\x00b\n" || got.Headers["destination"] != "/queue/a:b" || got.Headers["k\\\n"] != "v\r\\c" {
		t.Errorf("got %q %q", got, got.Body)
	}
	if _, err := c.Read(time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
}

func TestAFrameThatIsCutOffIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"command":         "MESSA",
		"headers":         "MESSAGE\na:b\n",
		"body":            "MESSAGE\n\nbody",
		"counted body":    "MESSAGE\ncontent-length:9\n\nbody",
		"no header":       "MESSAGE\nab\n\n\x00",
		"length":          "MESSAGE\ncontent-length:-1\n\n\x00",
		"length and body": "MESSAGE\ncontent-length:1\n\nab\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Dial(fakeBroker(t, []byte(answer)), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if f, err := c.Read(time.Second); err == nil {
				t.Errorf("got %s", f)
			}
		})
	}
}

func TestOpenReportsARefusal(t *testing.T) {
	c, err := Open(fakeBroker(t, []byte("ERROR\nmessage:no\n\n\x00")), time.Second)
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Frame.Headers["message"] != "no" || c != nil {
		t.Errorf("got %v", err)
	}
}

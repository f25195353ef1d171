package bench

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

const stamp16 = "ABACAAAAAADAAAAE"

func TestFramesAreParsedInPlace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		v11   bool
		frame string
		kind  eventKind
		body  string
		ack   string
	}{
		{"heart-beat", false, "\n", eventIgnored, "", ""},
		{"heart-beat of two bytes", false, "\r", eventIgnored, "", ""},
		{"message", false, "MESSAGE\nack:a\\c1\nmessage-id:m\ncontent-length:3\n\na\x00b\x00", eventDelivery, "a\x00b", "a\\c1"},
		{"message in 1.1", true, "MESSAGE\nack:a\nmessage-id:m\\c1\ncontent-length:1\n\nx\x00", eventDelivery, "x", "m\\c1"},
		{"message without a length", false, "MESSAGE\nack:1\n\nabc\x00", eventDelivery, "abc", "1"},
		{"message without a name", false, "MESSAGE\n\nabc\x00", eventDelivery, "abc", ""},
		{"message with CR LF", false, "MESSAGE\r\nack:1\r\ncontent-length:2\r\n\r\nxy\x00", eventDelivery, "xy", "1"},
		{"the first of two headers counts", false, "MESSAGE\nack:1\nack:2\ncontent-length:2\ncontent-length:1\n\nxy\x00", eventDelivery, "xy", "1"},
		{"similar names are others", false, "MESSAGE\nacks:1\ncontent-length2:9\nx-ack:3\n\nxy\x00", eventDelivery, "xy", ""},
		{"confirmation", false, "RECEIPT\nreceipt-id:" + stamp16 + "\n\n\x00", eventConfirm, stamp16, ""},
		{"reply", false, "RECEIPT\nreceipt-id:sub\n\n\x00", eventReply, "sub", ""},
		{"refusal", false, "ERROR\nmessage:no\\c\ncontent-length:9\n\nyou\nshall\x00", eventRefusal, "no:: you", ""},
		{"unexpected frame", false, "CONNECTED\nversion:1.2\n\n\x00", eventRefusal, `unexpected "CONNECTED" frame`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &stompCodec{v12: !tt.v11}
			for cut := range len(tt.frame) {
				var e event
				if n, err := c.next([]byte(tt.frame)[:cut], &e); n != 0 || err != nil {
					t.Fatalf("the first %d bytes are a frame of %d, %v", cut, n, err)
				}
			}
			var e event
			n, err := c.next([]byte(tt.frame+"MESSAGE\n"), &e)
			if err != nil || n != len(tt.frame) {
				t.Fatalf("size %d, error %v, want %d", n, err, len(tt.frame))
			}
			if e.kind != tt.kind || string(e.body) != tt.body || string(e.ack) != tt.ack {
				t.Errorf("kind %d body %q ack %q, want %d %q %q", e.kind, e.body, e.ack, tt.kind, tt.body, tt.ack)
			}
		})
	}
}

func TestMalformedFramesAreErrors(t *testing.T) {
	for _, tt := range []struct {
		name, frame string
		want        error
	}{
		{"negative length", "MESSAGE\ncontent-length:-1\n\n\x00", errStompLength},
		{"empty length", "MESSAGE\ncontent-length:\n\n\x00", errStompLength},
		{"absurd length", "MESSAGE\ncontent-length:99999999999999999999\n\n\x00", errStompLength},
		{"no NUL after the body", "MESSAGE\ncontent-length:1\n\nabc\x00", errStompEnd},
		{"endless command", strings.Repeat("x", maxStompHead+1), errStompHead},
		{"endless headers", "MESSAGE\n" + strings.Repeat("a:b\n", maxStompHead/4), errStompHead},
	} {
		var e event
		if _, err := (&stompCodec{}).next([]byte(tt.frame), &e); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
}

// conversation is a connection whose answers are known beforehand, read in
// small pieces.
type conversation struct {
	answers *strings.Reader
	said    bytes.Buffer
}

func (c *conversation) Read(b []byte) (int, error)  { return c.answers.Read(b[:min(len(b), 7)]) }
func (c *conversation) Write(b []byte) (int, error) { return c.said.Write(b) }

func TestHandshake(t *testing.T) {
	long := "CONNECTED\nversion:1.2\nx:" + strings.Repeat("y", 5000) + "\n\n\x00"
	for _, tt := range []struct {
		name, answer string
		server       string
		v12          bool
		err          string
	}{
		{"1.2", "CONNECTED\nversion:1.2\nserver:a/1\\cb\n\n\x00", "a/1:b", true, ""},
		{"1.1", "\r\nCONNECTED\r\nversion:1.1\r\n\r\n\x00", "", false, ""},
		{"long", long, "", true, ""},
		{"1.0", "CONNECTED\n\n\x00", "", false, `the broker speaks STOMP "", not 1.1 or 1.2`},
		{"refused", "ERROR\nmessage:Bad CONNECT\n\nAccess refused\nfor x\x00", "", false, "the broker refused: Bad CONNECT: Access refused"},
		{"closed", "CONNEC", "", false, "wait for CONNECTED: EOF"},
		{"another protocol", "HTTP/1.1 400 Bad Request\n\n\x00", "", false, `the broker answered CONNECT with "HTTP/1.1 400 Bad Req"`},
		{"noise", strings.Repeat("x", maxHandshake+100), "", false, "answer to CONNECT: STOMP: the headers have no end: is this a STOMP port?"},
		{"endless body", "ERROR\n\n" + strings.Repeat("x", maxHandshake*2), "", false, "the answer to CONNECT has no end: is this a STOMP port?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rw := &conversation{answers: strings.NewReader(tt.answer)}
			c, err := stompProtocol{accept: "1.1,1.2"}.open(rw, credentials{login: "u", passcode: "p:q", virtualHost: "/"})
			if want := "CONNECT\naccept-version:1.1,1.2\nhost:/\nheart-beat:0,0\nlogin:u\npasscode:p:q\n\n\x00"; rw.said.String() != want {
				t.Errorf("said %q, want %q", rw.said.String(), want)
			}
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("error %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := c.(*stompCodec); s.server != tt.server || s.v12 != tt.v12 {
				t.Errorf("codec %+v", s)
			}
		})
	}
}

func TestCredentialsThatSTOMPCannotCarry(t *testing.T) {
	for _, c := range []credentials{{login: "a\nb"}, {passcode: "x\r"}, {virtualHost: "\x00"}} {
		rw := &conversation{answers: strings.NewReader("")}
		if _, err := (stompProtocol{}).open(rw, c); err == nil || rw.said.Len() > 0 {
			t.Errorf("%+v: %v, said %q", c, err, rw.said.String())
		}
	}
}

func TestRequestsOfAConsumer(t *testing.T) {
	c := &stompCodec{v12: true}
	got := c.appendSubscribe(nil, subscription{
		destination: "/queue/x", ack: ackIndividual, prefetch: 10, headers: []header{{"x-queue-type", "quorum"}},
	})
	want := "SUBSCRIBE\nid:0\ndestination:/queue/x\nack:client-individual\nactivemq.prefetchSize:10\nprefetch-count:10\nx-queue-type:quorum\nreceipt:sub\n\n\x00"
	if string(got) != want {
		t.Errorf("subscribe %q, want %q", got, want)
	}
	e := &event{ack: []byte("a\\c1")}
	if got := c.appendAck(nil, e); string(got) != "ACK\nid:a\\c1\n\n\x00" {
		t.Errorf("1.2 acknowledgement %q", got)
	}
	if got := (&stompCodec{}).appendAck(nil, e); string(got) != "ACK\nsubscription:0\nmessage-id:a\\c1\n\n\x00" {
		t.Errorf("1.1 acknowledgement %q", got)
	}
	if got := c.appendDisconnect(nil); string(got) != "DISCONNECT\nreceipt:bye\n\n\x00" {
		t.Errorf("disconnect %q", got)
	}
}

func FuzzStompNext(f *testing.F) {
	for _, s := range []string{
		"\n", "MESSAGE\nack:1\ncontent-length:3\n\nabc\x00\n", "RECEIPT\nreceipt-id:" + stamp16 + "\n\n\x00",
		"ERROR\nmessage:x\n\nwords\x00", "MESSAGE\r\n\r\n\x00", "MESSAGE\ncontent-length:9999999\n\n", "R\n:\n\n\x00",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, v12 bool) {
		c := &stompCodec{v12: v12}
		in := bytes.Clone(b)
		var e event
		n, err := c.next(b, &e)
		if !bytes.Equal(b, in) {
			t.Fatal("the parser wrote to its input")
		}
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatalf("size %d of %d, %v", n, len(b), err)
		}
		if n == 0 {
			return
		}
		if e.kind != eventRefusal && len(e.body)+len(e.ack) > n {
			t.Fatalf("a frame of %d bytes has a body of %d", n, len(e.body))
		}
		var again event
		if m, err := c.next(b[:n], &again); m != n || err != nil || again.kind != e.kind || !bytes.Equal(again.body, e.body) {
			t.Fatalf("alone the frame is another: %d bytes, %v", m, err)
		}
		if m, err := c.next(b[:n-1], &again); err == nil && m == n {
			t.Fatal("the frame is complete without its end")
		}
	})
}

func FuzzHandshake(f *testing.F) {
	f.Add("CONNECTED\nversion:1.2\n\n\x00")
	f.Add("\n\r\nERROR\nmessage:\\\\\n\n\x00")
	f.Fuzz(func(t *testing.T, answer string) {
		rw := &conversation{answers: strings.NewReader(answer)}
		c, err := stompProtocol{accept: "1.2"}.open(rw, credentials{})
		if (c == nil) == (err == nil) {
			t.Fatalf("codec %v, error %v", c, err)
		}
	})
}

func BenchmarkNextMessage(b *testing.B) {
	frame := []byte("MESSAGE\nsubscription:0\ndestination:/queue/bench\nmessage-id:ID\\c1234567\nack:a\\c1234567\npriority:4\ncontent-length:16\n\n" + stamp16 + "\x00\n")
	c := &stompCodec{v12: true}
	var e event
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.next(frame, &e); err != nil {
			b.Fatal(err)
		}
	}
}

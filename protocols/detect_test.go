package protocols

import (
	"strings"
	"testing"
)

// firstBytes are conversations' beginnings and what they are.
var firstBytes = []struct{ name, bytes, want string }{
	{"STOMP 1.0 connect", "CONNECT\nlogin:a\n\n\x00", STOMP},
	{"STOMP command", "STOMP\naccept-version:1.2\n\n\x00", STOMP},
	{"STOMP with CR LF", "CONNECT\r\naccept-version:1.2\r\n\r\n\x00", STOMP},
	{"STOMP after heart-beats", "\n\n\nCONNECT\n\n\x00", STOMP},
	{"STOMP after a CR LF heart-beat", "\r\nCONNECT\n\n\x00", STOMP},
	{"MQTT 3.1.1", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", MQTT},
	{"MQTT 5", "\x10\x0d\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00", MQTT},
	{"MQTT 3.1", "\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", MQTT},
	{"MQTT with the longest length", "\x10\xff\xff\xff\x7f\x00\x04MQTT\x04", MQTT},
	{"MQTT with a length of five bytes", "\x10\xff\xff\xff\xff\x01\x00\x04MQTT\x04", ""},
	{"MQTT too short for a CONNECT", "\x10\x02\x00\x04MQTT\x04\x02\x00\x3c", ""},
	{"MQTT with another name", "\x10\x0c\x00\x04MQTX\x04\x02\x00\x3c\x00\x00", ""},
	{"MQTT packet that is no CONNECT", "\x30\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", ""},
	{"AMQP", "AMQP\x00\x01\x00\x00", AMQP},
	{"AMQP with SASL", "AMQP\x03\x01\x00\x00", AMQP},
	{"OpenWire", "\x00\x00\x01\x52\x01ActiveMQ\x00\x00\x00\x0c\x01", OpenWire},
	{"OpenWire without size", "\x01ActiveMQ\x00\x00\x00\x0c\x01", OpenWire},
	{"OpenWire larger than a first frame may be", "\x01\x00\x01\x52\x01ActiveMQ\x00\x00\x00\x0c\x01", ""},
	{"OpenWire too small for its magic", "\x00\x00\x00\x08\x01ActiveMQ\x00\x00\x00\x0c\x01", ""},
	{"OpenWire with another first command", "\x00\x00\x01\x52\x03ActiveMQ", ""},
	{"WebSocket", "GET / HTTP/1.1\r\n", WebSocket},
	{"HTTP without a future", "POST /send HTTP/1.1\r\n", WebSocket},
	{"an HTTP proxy's client", "CONNECT example.org:80 HTTP/1.1\r\n", WebSocket},
	{"TLS 1.2", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", transportTLS},
	{"TLS record that is no ClientHello", "\x16\x03\x01\x02\x00\x02\x00\x01\xfc\x03\x03", ""},
	{"SSL 2", "\x80\x2e\x01\x03\x01", ""},
	{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", ""},
	{"a STOMP frame that is no beginning", "SEND\ndestination:/queue/a\n\n\x00", ""},
	{"zeros", strings.Repeat("\x00", 40), ""},
}

func TestFirstBytesTellTheProtocol(t *testing.T) {
	for _, tt := range firstBytes {
		b := []byte(tt.bytes)
		if len(b) > detectLimit {
			b = b[:detectLimit]
		}
		if got, more := detect(b); got != tt.want || more {
			t.Errorf("%s: got %q, more=%t, want %q", tt.name, got, more, tt.want)
		}
	}
}

func TestDetectionWithOneByteAtATimeFindsTheSame(t *testing.T) {
	for _, tt := range firstBytes {
		got, more := "", true
		for n := 1; more; n++ {
			if n > len(tt.bytes) {
				t.Errorf("%s: undecided after all %d bytes", tt.name, len(tt.bytes))
				break
			}
			got, more = detect([]byte(tt.bytes[:n]))
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, tt := range firstBytes {
		f.Add([]byte(tt.bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		decided := 0
		for _, m := range matchers {
			if m.match(b) == yes {
				decided++
			}
		}
		if decided > 1 {
			t.Errorf("%q is %d protocols", b, decided)
		}
		// What a prefix decided stays decided, and detectLimit bytes always decide.
		got, more := "", true
		for n := 1; n <= len(b) && more; n++ {
			got, more = detect(b[:n])
			if more && n >= detectLimit {
				t.Fatalf("%q: undecided after %d bytes", b, n)
			}
		}
		if whole, _ := detect(b); !more && whole != got {
			t.Errorf("%q: a prefix is %q, the whole %q", b, got, whole)
		}
	})
}

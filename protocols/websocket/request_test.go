package websocket

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/entrepot-mq/entrepot/protocols"
)

// converse gives a fresh frontend the bytes and returns its answer.
func converse(input string, values protocols.Values, remote net.Addr) (answer string, served bool) {
	serve := func(c *protocols.Conn) {
		served = true
		c.Close()
	}
	m := &memConn{in: bytes.NewReader([]byte(input))}
	New(families(serve), slog.New(slog.DiscardHandler)).Serve(&protocols.Conn{Conn: m, Remote: remote, Values: values})
	return m.out.String(), served
}

func TestRequestsThatAreNoUpgradeGetHTTPsAnswer(t *testing.T) {
	for _, tt := range []struct{ name, request, status, body string }{
		{"a plain GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "This is a message broker's WebSocket port; subprotocols: mqttv3.1, mqtt, v12.stomp, v11.stomp, v10.stomp, stomp.\n"},
		{"a plain GET of HTTP/1.0 with bare LF", "GET / HTTP/1.0\n\n", "200 OK", "This is a message broker's WebSocket port; subprotocols: mqttv3.1, mqtt, v12.stomp, v11.stomp, v10.stomp, stomp.\n"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", ""},
		{"POST", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed", "This port takes GET only.\n"},
		{"GET with a body", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "400 Bad Request", "A request here has no body.\n"},
		{"GET without host", "GET / HTTP/1.1\r\n\r\n", "400 Bad Request", "The Host header is missing.\n"},
		{"no HTTP", "SSH-2.0\r\n\r\n", "400 Bad Request", "This is no HTTP request.\n"},
		{"an empty line first", "\r\n\r\n", "400 Bad Request", "This is no HTTP request.\n"},
		{"a header above the limit", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", headerLimit), "431 Request Header Fields Too Large", "The header is larger than 16384 bytes.\n"},
		{"an old WebSocket version", strings.Replace(upgradeRequest, "Version: 13", "Version: 8", 1), "426 Upgrade Required", "This port speaks version 13 of WebSocket.\n"},
		{"no key", strings.Replace(upgradeRequest, "Sec-WebSocket-Key", "X-Key", 1), "400 Bad Request", "not a websocket handshake: 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length\n"},
		{"no Connection: Upgrade", strings.Replace(upgradeRequest, ", Upgrade", "", 1), "400 Bad Request", "the client is not using the websocket protocol: 'upgrade' token not found in 'Connection' header\n"},
		{"unknown subprotocols", strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat, mqttv9\r\n\r\n", 1), "400 Bad Request", "None of the offered subprotocols is known here; known: v12.stomp, v11.stomp, v10.stomp, stomp, mqttv3.1, mqtt, amqp.\n"},
		{"a family that is not served", strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: amqp\r\n\r\n", 1), "501 Not Implemented", "amqp over WebSocket is not served here. This is a message broker's WebSocket port; subprotocols: mqttv3.1, mqtt, v12.stomp, v11.stomp, v10.stomp, stomp.\n"},
	} {
		answer, served := converse(tt.request, nil, nil)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 "+tt.status+"\r\n") || body != tt.body || served {
			t.Errorf("%s: served=%t, answer %q", tt.name, served, answer)
		}
		if !strings.Contains(head, "\r\nConnection: close") {
			t.Errorf("%s: the answer does not say that it is the last: %q", tt.name, head)
		}
	}
}

func TestAnIncompleteRequestGetsNoAnswer(t *testing.T) {
	for cut := range len(upgradeRequest) {
		if answer, served := converse(upgradeRequest[:cut], nil, nil); answer != "" || served {
			t.Fatalf("cut after %d bytes: %q, served=%t", cut, answer, served)
		}
	}
	if answer, served := converse(upgradeRequest, nil, nil); !served || !strings.HasPrefix(answer,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n") {
		t.Errorf("served=%t, answer %q", served, answer)
	}
}

func TestTheEndOfAHeaderIsFoundWhereverReadsAreCut(t *testing.T) {
	for _, text := range []string{"a\r\n\r\nrest", "a\n\nrest", "a\n\r\nrest", "a\r\nb\r\n\r\n\r\nrest"} {
		want := strings.Index(text, "\n\r\n") + 3
		if i := strings.Index(text, "\n\n"); i >= 0 {
			want = i + 2
		}
		got := 0
		for n := 0; got == 0 && n < len(text); n++ {
			got = headEnd([]byte(text[:n+1]), n)
		}
		if got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestSubprotocols(t *testing.T) {
	for _, tt := range []struct{ offered, family, answer string }{
		{"", protocols.STOMP, ""},
		{" , ", protocols.STOMP, ""},
		{"v10.stomp, v11.stomp, v12.stomp", protocols.STOMP, "v12.stomp"},
		{"stomp,v10.stomp", protocols.STOMP, "v10.stomp"},
		{"stomp", protocols.STOMP, "stomp"},
		{"mqtt, mqttv3.1", protocols.MQTT, "mqttv3.1"},
		{"mqtt", protocols.MQTT, "mqtt"},
		{"amqp", protocols.AMQP, "amqp"},
		{"mqtt, v12.stomp", protocols.STOMP, "v12.stomp"},
		{"v12.stomp, chat, mqtt, other", protocols.MQTT, "mqtt"},
	} {
		r := &http.Request{Header: http.Header{"Sec-Websocket-Protocol": {tt.offered}}}
		family, answer, err := chooseSubprotocol(r)
		if family != tt.family || answer != tt.answer || err != nil {
			t.Errorf("%q: got %s, %q, %v", tt.offered, family, answer, err)
		}
	}
}

func TestTheSubprotocolChoosesTheFrontend(t *testing.T) {
	hello := func(c *protocols.Conn) {
		c.Authenticated()
		_, _ = io.WriteString(c, c.Subprotocol+" "+c.Values.String("wireFormat.maxFrameSize", ""))
		c.Goodbye()
	}
	address := start(t, families(hello), "wireFormat.maxFrameSize=1000&wireFormat.mqtt.maxFrameSize=2000")
	for offered, want := range map[string]string{"v12.stomp": "v12.stomp 1000", "mqtt": "mqtt 2000"} {
		c := dial(t, address, websocket.Dialer{Subprotocols: []string{offered}}, nil)
		if c.Subprotocol() != offered {
			t.Errorf("%s: agreed on %q", offered, c.Subprotocol())
		}
		kind, p, err := c.ReadMessage()
		if err != nil || string(p) != want || (kind == websocket.TextMessage) != (offered == "v12.stomp") {
			t.Errorf("%s: read %d %q, %v", offered, kind, p, err)
		}
		if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			t.Errorf("%s: ended with %v", offered, err)
		}
	}
}

func TestOrigins(t *testing.T) {
	lan := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	me := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	for _, tt := range []struct {
		origin, host, allowed string
		remote                net.Addr
		ok                    bool
	}{
		{"", "broker.example:61614", "", lan, true},
		{"", "broker.example:61614", "https://app.example", lan, true},
		{"http://localhost:3000", "broker.example:61614", "", lan, true},
		{"http://app.localhost", "127.0.0.1:61614", "", me, true},
		{"http://127.0.0.1:8080", "127.0.0.1:61614", "", me, true},
		{"http://[::1]:8080", "127.0.0.1:61614", "", me, true},
		{"http://broker.example:61614", "broker.example:61614", "", lan, true},
		{"http://BROKER.example", "broker.EXAMPLE", "", lan, true},
		{"http://192.0.2.9:61614", "192.0.2.9:61614", "", me, true},
		{"http://broker.example:80", "broker.example:61614", "", lan, false},
		{"https://evil.example", "broker.example:61614", "", lan, false},
		{"http://evil.example:61614", "evil.example:61614", "", me, false}, // DNS rebinding
		{"http://localhost.evil.example", "127.0.0.1:61614", "", me, false},
		{"null", "broker.example", "", lan, false},
		{"http://%zz", "broker.example", "", lan, false},
		{"null", "broker.example", "null", lan, true},
		{"https://evil.example", "broker.example", "*", lan, true},
		{"https://app.example", "broker.example", "https://app.example", lan, true},
		{"http://app.example", "broker.example", "https://app.example", lan, false},
		{"https://app.example:8443", "broker.example", "app.example", lan, true},
		{"https://app.example:8443", "broker.example", "app.example:8443", lan, true},
		{"https://app.example:8444", "broker.example", "app.example:8443", lan, false},
		{"https://a.b.example", "broker.example", "*.example", lan, true},
		{"https://example", "broker.example", "*.example", lan, false},
		{"https://badexample", "broker.example", "*.example", lan, false},
		{"http://localhost:3000", "127.0.0.1", "https://app.example", me, false}, // a list replaces the rule
	} {
		request := strings.Replace(upgradeRequest, "Host: 127.0.0.1", "Host: "+tt.host, 1)
		if tt.origin != "" {
			request = strings.Replace(request, "\r\n\r\n", "\r\nOrigin: "+tt.origin+"\r\n\r\n", 1)
		}
		answer, served := converse(request, protocols.Values{optionAllowedOrigins: tt.allowed}, tt.remote)
		if served != tt.ok || !tt.ok && !strings.HasPrefix(answer, "HTTP/1.1 403 ") {
			t.Errorf("origin %q, host %q, allowed %q, remote %s: served=%t, answer %q", tt.origin, tt.host, tt.allowed, tt.remote, served, answer)
		}
	}
}

func TestOptionsAreCheckedAtTheStart(t *testing.T) {
	f := New(families(nil), slog.New(slog.DiscardHandler))
	if !slices.Contains(f.Options(), "stomp.nack") || !slices.Contains(f.Options(), optionPingInterval) {
		t.Errorf("options: %q", f.Options())
	}
	c, err := protocols.ParseListener("ws://h?websocket.pingInterval=soon&stomp.nack=x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Check(map[string]protocols.Frontend{protocols.WebSocket: f})
	if err == nil || !strings.Contains(err.Error(), `option websocket.pingInterval="soon"`) {
		t.Errorf("got %v", err)
	}
	if answer, served := converse(upgradeRequest, c.Values, nil); answer != "" || served {
		t.Errorf("unchecked options: %q, served=%t", answer, served)
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		upgradeRequest, upgradeRequest + frame(fin|opText, "hello"), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.0\n\n",
		strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nSec-WebSocket-Protocol: v12.stomp, mqtt\r\nOrigin: http://localhost\r\n\r\n", 1),
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "\r\n\r\n", "GET http://a:b@c/ HTTP/1.1\r\nHost:\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, input string) {
		answer, served := converse(input, protocols.Values{optionCompression: "true"}, nil)
		switch {
		case served != strings.HasPrefix(answer, "HTTP/1.1 101 Switching Protocols\r\n"):
			t.Errorf("served=%t, answer %q", served, answer)
		case answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 "):
			t.Errorf("answer %q", answer)
		case answer == "" && headEnd([]byte(input), 0) > 0 && headEnd([]byte(input), 0) <= headerLimit:
			t.Errorf("a complete header got no answer")
		}
	})
}

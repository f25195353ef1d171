package protocols

import (
	"crypto/tls"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestListenerURIs(t *testing.T) {
	tests := []struct {
		uri, protocol, address, name string
		secure                       bool
	}{
		{"stomp://0.0.0.0:61613?maximumConnections=1000&wireFormat.maxFrameSize=104857600", STOMP, "0.0.0.0:61613", "stomp:61613", false},
		{"stomp://localhost", STOMP, "localhost:61613", "stomp:61613", false},
		{"stomp://:0", STOMP, ":0", "stomp:0", false},
		{"stomp+nio://127.0.0.1/", STOMP, "127.0.0.1:61613", "stomp:61613", false},
		{"STOMP://h:1", STOMP, "h:1", "stomp:1", false},
		{"tcp://0.0.0.0", OpenWire, "0.0.0.0:61616", "openwire:61616", false},
		{"openwire://0.0.0.0", OpenWire, "0.0.0.0:61616", "openwire:61616", false},
		{"nio://0.0.0.0:61618", OpenWire, "0.0.0.0:61618", "openwire:61618", false},
		{"amqp://[::1]:5672", AMQP, "[::1]:5672", "amqp:5672", false},
		{"amqp://[fe80::1%25eth0]", AMQP, "[fe80::1%eth0]:5672", "amqp:5672", false},
		{"mqtt://[::]", MQTT, "[::]:1883", "mqtt:1883", false},
		{"ws://0.0.0.0", WebSocket, "0.0.0.0:61614", "ws:61614", false},
		{"auto+nio://0.0.0.0", Auto, "0.0.0.0:61616", "auto:61616", false},
		{"ssl://0.0.0.0?transport.certificate=c&transport.key=k", OpenWire, "0.0.0.0:61617", "openwire:61617", true},
		{"nio+ssl://h?transport.certificate=c&transport.key=k", OpenWire, "h:61617", "openwire:61617", true},
		{"stomp+ssl://h?transport.certificate=c&transport.key=k", STOMP, "h:61612", "stomp:61612", true},
		{"stomp+nio+tls://h?transport.certificate=c&amp;transport.key=k", STOMP, "h:61612", "stomp:61612", true},
		{"mqtt+ssl://h?transport.certificate=c&transport.key=k", MQTT, "h:8883", "mqtt:8883", true},
		{"wss://h?transport.certificate=c&transport.key=k", WebSocket, "h:61615", "ws:61615", true},
		{"auto+nio+ssl://h?transport.certificate=c&transport.key=k", Auto, "h:61617", "auto:61617", true},
	}
	for _, tt := range tests {
		c, err := ParseListener(tt.uri)
		if err != nil {
			t.Errorf("%s: %v", tt.uri, err)
			continue
		}
		if c.Protocol != tt.protocol || c.Address != tt.address || c.Name != tt.name || c.Secure != tt.secure {
			t.Errorf("%s: got %s %s %s secure=%t", tt.uri, c.Protocol, c.Address, c.Name, c.Secure)
		}
	}
}

func TestListenerOptions(t *testing.T) {
	c, err := ParseListener("auto+ssl://h?maximumConnections=5&maximumUnauthenticated=6&maximumHandshakes=9&transport.connectAttemptTimeout=7000" +
		"&protocolDetectionTimeOut=8s&auto.protocols=default,stomp&transport.tcpNoDelay=false&transport.keepAlive=false" +
		"&transport.certificate=%2Fetc%2Fa%20b.pem&transport.key=k&transport.clientCA=ca&needClientAuth=true" +
		"&transport.enabledProtocols=TLSv1.3&proxyProtocol=required&trustedProxies=10.1.2.3/8,::1,192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	c.Values = nil
	want := ListenerConfig{
		Name: "auto:61617", Protocol: Auto, Address: "h:61617", Secure: true,
		MaxConnections: 5, MaxStrangers: 6, MaxHandshakes: 9, HandshakeTimeout: 7 * time.Second, DetectTimeout: 8 * time.Second,
		Detect: []string{OpenWire, STOMP},
		TLS: TLSFiles{
			Certificate: "/etc/a b.pem", Key: "k", ClientCA: "ca", NeedClient: true, MinVersion: tls.VersionTLS13,
		},
		Proxy: ProxyRequired,
		TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.7/32"),
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestListenerDefaults(t *testing.T) {
	c, err := ParseListener("stomp://h?transport.connectAttemptTimeout=0")
	if err != nil {
		t.Fatal(err)
	}
	c.Values = nil
	want := ListenerConfig{
		Name: "stomp:61613", Protocol: STOMP, Address: "h:61613",
		MaxConnections: DefaultMaxConnections, MaxHandshakes: DefaultMaxHandshakes, HandshakeTimeout: DefaultHandshakeTimeout, DetectTimeout: DefaultDetectTimeout,
		NoDelay: true, KeepAlive: true, TLS: TLSFiles{MinVersion: tls.VersionTLS12},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestFaultyListenerURIsSayWhatIsWrong(t *testing.T) {
	tests := []struct{ uri, want string }{
		{"", "no scheme: write it like stomp://0.0.0.0:61613"},
		{"0.0.0.0:61613", "first path segment in URL cannot contain colon"},
		{"localhost:61613", `unknown scheme "localhost"; known: stomp, mqtt, amqp, openwire, tcp, ws, wss, auto, nio, ssl, tls, joined by + as in stomp+ssl`},
		{"stmop://h", `unknown scheme "stmop"; did you mean "stomp"?`},
		{"stomp+sll://h", `unknown scheme "sll"; did you mean "ssl"?`},
		{"vm://broker", `unknown scheme "vm"`},
		{"amqp+ws://h", `scheme "amqp+ws" names two protocols`},
		{"stomp:61613", "write // before the address: stomp://61613"},
		{"stomp://u:p@h", "a listener takes no user and password"},
		{"stomp://h/path", `a listener has no path: remove "/path"`},
		{"stomp://h?transport.key=a#b", "a listener has no fragment"},
		{"stomp://h:70000", "port 70000 is not between 0 and 65535"},
		{"stomp://h:x", `invalid port ":x" after host`},
		{"stomp://[::1", "missing ']' in host"},
		{"stomp://h?a=1&a=2", "option a is given 2 times"},
		{"stomp://h?a=%zz", `invalid URL escape "%zz"`},
		{"stomp://h?maximumConnections=0", "option maximumConnections=0: the least is 1"},
		{"stomp://h?maximumConnections=many", `option maximumConnections="many": want a whole number such as 1000`},
		{"stomp+ssl://h", "TLS needs transport.certificate=FILE and transport.key=FILE"},
		{"stomp+ssl://h?transport.certificate=c", "transport.certificate and transport.key belong together"},
		{"stomp://h?transport.certificate=c&transport.key=k", "the scheme is not encrypted: write stomp+ssl"},
		{"auto://h?transport.certificate=c&transport.key=k&wantClientAuth=true", "need transport.clientCA=FILE"},
		{"stomp://h?transport.enabledProtocols=TLSv1.1", "at least one of TLSv1.2 and TLSv1.3 is needed"},
		{"stomp://h?transport.enabledProtocols=TLSv9", `unknown version "TLSv9"`},
		{"stomp://h?proxyProtocol=optional", "option proxyProtocol needs trustedProxies"},
		{"stomp://h?proxyProtocol=yes&trustedProxies=::1", `option proxyProtocol="yes": want off, optional or required`},
		{"stomp://h?trustedProxies=::1", "option trustedProxies needs proxyProtocol=optional"},
		{"stomp://h?proxyProtocol=optional&trustedProxies=proxy.example", `"proxy.example" is no address and no range`},
		{"auto://h?auto.protocols=stom", `unknown protocol "stom"; did you mean "stomp"?`},
	}
	for _, tt := range tests {
		_, err := ParseListener(tt.uri)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "listener ") {
			t.Errorf("%s:\n got %v\nwant %s", tt.uri, err, tt.want)
		}
	}
}

func TestCheckFindsUnknownOptionsAndNotesThoseWithoutEffect(t *testing.T) {
	fronts := map[string]Frontend{
		STOMP: &fakeFrontend{name: STOMP, options: []string{"wireFormat.maxFrameSize", "transport.defaultHeartBeat"}},
		MQTT:  &fakeFrontend{name: MQTT, options: []string{"transport.publishDollarTopics"}},
	}
	tests := []struct{ uri, notes, err string }{
		{"stomp://h?wireFormat.maxFrameSize=1&transport.defaultHeartBeat=1,1&maximumConnections=9", "", ""},
		{"stomp://h?transport.publishDollarTopics=true&transport.threadName=x&http.enableTrace=true", "http.enableTrace transport.publishDollarTopics transport.threadName", ""},
		{"auto://h?transport.publishDollarTopics=true&wireFormat.stomp.maxFrameSize=1", "", ""},
		{"auto://h?wireFormat.default.cacheSize=1", "wireFormat.default.cacheSize", ""},
		{"stomp://h?maximumConnection=1", "", `listener stomp:61613: unknown option maximumConnection; did you mean "maximumConnections"?`},
		{"stomp://h?wireformat.maxframesize=1", "", `listener stomp:61613: unknown option wireformat.maxframesize; did you mean "wireFormat.maxFrameSize"?`},
		{"stomp://h?zzzzzzzzzzzzzz=1", "", "listener stomp:61613: unknown option zzzzzzzzzzzzzz; known: auto.protocols, maximumConnections, "},
	}
	for _, tt := range tests {
		c, err := ParseListener(tt.uri)
		if err != nil {
			t.Fatal(err)
		}
		notes, err := c.Check(fronts)
		var names []string
		for _, n := range notes {
			names = append(names, n.Option)
			if n.Reason == "" {
				t.Errorf("%s: no reason for %s", tt.uri, n.Option)
			}
		}
		if got := strings.Join(names, " "); got != tt.notes {
			t.Errorf("%s: notes %q, want %q", tt.uri, got, tt.notes)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s:\n got %v\nwant %s", tt.uri, err, tt.err)
		}
	}
}

func TestScopedWireFormatOptionsWinForTheirProtocol(t *testing.T) {
	v := Values{
		"wireFormat.maxFrameSize": "1", "wireFormat.stomp.maxFrameSize": "2", "wireFormat.default.maxFrameSize": "3",
		"transport.stomp.x": "4",
	}
	for protocol, want := range map[string]string{STOMP: "2", OpenWire: "3", MQTT: "1"} {
		if got := v.For(protocol)["wireFormat.maxFrameSize"]; got != want {
			t.Errorf("%s: got %s, want %s", protocol, got, want)
		}
	}
	if v["wireFormat.maxFrameSize"] != "1" {
		t.Error("For changed the listener's own values")
	}
}

func FuzzParseListener(f *testing.F) {
	for _, s := range []string{
		"stomp://0.0.0.0:61613?maximumConnections=1000&wireFormat.maxFrameSize=104857600",
		"auto+nio+ssl://[::1]:0?transport.certificate=a&transport.key=b&auto.protocols=default,stomp",
		"wss://h?proxyProtocol=optional&trustedProxies=10.0.0.0/8", "stmop://h?a=%zz", "nio+ssl+nio://", "stomp:x", "://", "ssl://%41?&&=",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		c, err := ParseListener(uri)
		if err != nil {
			return
		}
		if c.Protocol == "" || c.Address == "" || c.MaxConnections < 1 || c.HandshakeTimeout <= 0 || c.DetectTimeout <= 0 {
			t.Errorf("%q: accepted as %+v", uri, c)
		}
		if c.Secure && !c.TLS.given() {
			t.Errorf("%q: secure without a certificate", uri)
		}
		if c.Proxy != ProxyOff && len(c.TrustedProxies) == 0 {
			t.Errorf("%q: everybody may announce addresses", uri)
		}
		_, _ = c.Check(nil) // it must not panic
	})
}

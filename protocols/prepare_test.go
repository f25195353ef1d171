package protocols

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// beginnings of the protocols that echo frontends stand for, and the line
// that comes back.
var beginnings = map[string]string{
	STOMP:     "CONNECT\n",
	MQTT:      "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\n",
	AMQP:      "AMQP\x00\x01\x00\x00\n",
	OpenWire:  "\x00\x00\x01\x52\x01ActiveMQ\x00\n",
	WebSocket: "GET / HTTP/1.1\n",
}

func allEchoes() map[string]Frontend {
	m := make(map[string]Frontend)
	for p := range beginnings {
		m[p] = echoFrontend(p)
	}
	return m
}

func TestOnePortServesEveryProtocol(t *testing.T) {
	s := start(t, Options{Frontends: allEchoes()}, "auto://127.0.0.1:0")
	for protocol, first := range beginnings {
		whole := dial(t, s)
		send(t, whole, first)
		expect(t, whole, protocol+" "+first)
		slow := dial(t, s)
		for i := range len(first) {
			send(t, slow, first[i:i+1])
		}
		expect(t, slow, protocol+" "+first)
		send(t, slow, "more\n")
		expect(t, slow, protocol+" more\n")
	}
}

func TestOnePortServesTLSToo(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	s := start(t, Options{Frontends: allEchoes()}, "auto://127.0.0.1:0?"+a.options("server"))
	for protocol, first := range beginnings {
		plain := dial(t, s)
		send(t, plain, first)
		expect(t, plain, protocol+" "+first)
		secure := tls.Client(dial(t, s), &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
		send(t, secure, first)
		expect(t, secure, protocol+" "+first)
		secure.Close()
	}
}

func TestUnknownFirstBytesAreClosed(t *testing.T) {
	var log logBuffer
	s := start(t, Options{Frontends: allEchoes(), Logger: log.logger()}, "auto://127.0.0.1:0")
	c := dial(t, s)
	send(t, c, "SSH-2.0-x")
	expectEnd(t, c, "")
	eventually(t, "the refusal is counted", func() bool { return rejected(s, ReasonUnknownProtocol) == 1 })
	eventually(t, "the refusal is logged", func() bool {
		return strings.Contains(log.String(), "reason=unknown_protocol") && strings.Contains(log.String(), "SSH-2.0")
	})
}

func TestAutoProtocolsLimitsWhatIsServed(t *testing.T) {
	s := start(t, Options{Frontends: allEchoes()}, "auto://127.0.0.1:0?auto.protocols=default,mqtt")
	for protocol, first := range beginnings {
		c := dial(t, s)
		send(t, c, first)
		switch protocol {
		case OpenWire, MQTT:
			expect(t, c, protocol+" "+first)
		case WebSocket:
			expect(t, c, "HTTP/1.1 501 Not Implemented\r\n")
		default:
			expectEnd(t, c, "")
		}
	}
	eventually(t, "three refusals", func() bool { return rejected(s, ReasonNotServed) == 3 })
}

func TestAProtocolWithoutFrontendGetsAClearEnd(t *testing.T) {
	var log logBuffer
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP)), Logger: log.logger()}, "auto://127.0.0.1:0")
	c := dial(t, s)
	send(t, c, beginnings[MQTT])
	expectEnd(t, c, "")
	c = dial(t, s)
	send(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	expectEnd(t, c, "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
		"This port does not serve WebSocket.\n")
	c = dial(t, s)
	send(t, c, "\x16\x03\x01\x02\x00\x01\x00")
	expectEnd(t, c, "")
	eventually(t, "three refusals", func() bool { return rejected(s, ReasonNotServed) == 3 })
	eventually(t, "the refusal is logged", func() bool { return strings.Contains(log.String(), "it speaks mqtt") })
}

func TestSilenceEndsDetection(t *testing.T) {
	for _, tt := range []struct {
		uri    string
		after  time.Duration
		reason Reason
	}{
		{"auto://h?protocolDetectionTimeOut=2000", 2 * time.Second, ReasonDetectTimeout},
		{"auto://h", 10 * time.Second, ReasonDetectTimeout}, // bounded by the handshake's deadline
	} {
		for _, first := range []string{"", "CONN"} {
			synctest.Test(t, func(t *testing.T) {
				s, l := startFake(t, Options{Frontends: allEchoes()}, tt.uri)
				started := time.Now()
				c := l.dial("127.0.0.1:1")
				send(t, c, first)
				expectEnd(t, c, "")
				if took := time.Since(started); took < tt.after || took > tt.after+200*time.Millisecond {
					t.Errorf("%s after %q: closed after %s", tt.uri, first, took)
				}
				synctest.Wait()
				if n := rejected(s, tt.reason); n != 1 {
					t.Errorf("%s after %q: %d refusals counted: %+v", tt.uri, first, n, s.Snapshot()[0].Rejected)
				}
				s.Close()
			})
		}
	}
}

func TestAHealthCheckIsNoRefusal(t *testing.T) {
	s := start(t, Options{Frontends: allEchoes()}, "auto://127.0.0.1:0")
	dial(t, s).Close()
	eventually(t, "it has come and gone", func() bool {
		st := s.Snapshot()[0]
		return st.Accepted == 1 && st.Connections == 0
	})
	for _, r := range s.Snapshot()[0].Rejected {
		if r.Count != 0 {
			t.Errorf("%s: %d", r.Reason, r.Count)
		}
	}
}

func TestTLSWithClientCertificates(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	mine := a.issue("client", 3)
	seen := make(chan *tls.ConnectionState, 2)
	f := echoFrontend(STOMP)
	echo := f.serve
	f.serve = func(c *Conn) { seen <- c.TLS; echo(c) }
	s := start(t, Options{Frontends: frontends(f)}, "stomp+ssl://127.0.0.1:0?"+a.options("server")+
		"&transport.clientCA="+filepath.Join(a.dir, "ca.pem")+"&needClientAuth=true")

	c := tls.Client(dial(t, s), &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{mine}})
	send(t, c, "a\n")
	expect(t, c, "stomp a\n")
	if st := <-seen; st == nil || st.PeerCertificates[0].Subject.CommonName != "client" || st.Version != tls.VersionTLS13 {
		t.Errorf("got %+v", st)
	}
	none := tls.Client(dial(t, s), &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
	_, err := none.Read(make([]byte, 1)) // TLS 1.3 tells after the client's handshake
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate: %v", err)
	}
	old := tls.Client(dial(t, s), &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil || !strings.Contains(err.Error(), "protocol version not supported") {
		t.Errorf("TLS 1.1: %v", err)
	}
	eventually(t, "two refusals", func() bool { return rejected(s, ReasonTLS) == 2 })
}

func TestPlainClientsOfATLSPortAreToldSo(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	s := start(t, Options{Frontends: allEchoes()}, "auto+ssl://127.0.0.1:0?"+a.options("server"))
	c := dial(t, s)
	send(t, c, "CONNECT\n")
	expectEnd(t, c, "")
	c = dial(t, s)
	send(t, c, "GET / HTTP/1.1\r\n\r\n")
	expectEnd(t, c, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
		"This port takes TLS only: use https or wss.\n")
	eventually(t, "two refusals", func() bool { return rejected(s, ReasonPlain) == 2 })
}

func TestATLSHandshakeHasFiveSeconds(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	for _, first := range []string{"", "\x16\x03\x01"} {
		synctest.Test(t, func(t *testing.T) {
			s, l := startFake(t, Options{Frontends: allEchoes()}, "stomp+ssl://h?"+a.options("server"))
			started := time.Now()
			c := l.dial("127.0.0.1:1")
			send(t, c, first)
			expectEnd(t, c, "")
			if took := time.Since(started); took < 5*time.Second || took > 5200*time.Millisecond {
				t.Errorf("closed after %s", took)
			}
			synctest.Wait()
			if n := rejected(s, ReasonTLSTimeout); n != 1 {
				t.Errorf("%d refusals counted", n)
			}
			s.Close()
		})
	}
}

func TestReloadTakesNewCertificatesOrKeepsTheOld(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP))}, "stomp+ssl://127.0.0.1:0?"+a.options("server"), anyPort)
	serial := func() int64 {
		c := tls.Client(dial(t, s), &tls.Config{RootCAs: a.pool, ServerName: "127.0.0.1"})
		defer c.Close()
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 2 {
		t.Errorf("serial %d", n)
	}
	a.issue("server", 3)
	if n := serial(); n != 2 {
		t.Errorf("before Reload: serial %d", n)
	}
	if err := s.Reload(); err != nil {
		t.Error(err)
	}
	if n := serial(); n != 3 {
		t.Errorf("after Reload: serial %d", n)
	}
	a.write("server.pem", "CERTIFICATE", []byte("broken"))
	if err := s.Reload(); err == nil || !strings.Contains(err.Error(), "keeps its certificate") {
		t.Errorf("Reload of a broken file: %v", err)
	}
	if n := serial(); n != 3 {
		t.Errorf("after a broken Reload: serial %d", n)
	}
}

func TestAMissingCertificateStopsTheStart(t *testing.T) {
	s := newTestServer(t, Options{Frontends: frontends(echoFrontend(STOMP))})
	err := s.Start(context.Background(), parseAll(t, "stomp+ssl://127.0.0.1:0?transport.certificate=missing.pem&transport.key=missing.key"))
	if err == nil || !strings.Contains(err.Error(), `load certificate "missing.pem" with key "missing.key"`) {
		t.Errorf("got %v", err)
	}
}

func TestATrustedProxyNamesTheClient(t *testing.T) {
	seen := make(chan net.Addr, 1)
	f := echoFrontend(STOMP)
	echo := f.serve
	f.serve = func(c *Conn) { seen <- c.Remote; echo(c) }
	for _, mode := range []string{"optional", "required"} {
		for _, header := range proxyHeaders {
			s := start(t, Options{Frontends: frontends(f), AllowRemote: true}, anyPort+"?proxyProtocol="+mode+"&trustedProxies=127.0.0.0/8")
			c := dial(t, s)
			for i := range min(len(header.bytes), 64) {
				send(t, c, header.bytes[i:i+1])
			}
			send(t, c, header.bytes[min(len(header.bytes), 64):]+"CONNECT\n")
			expect(t, c, "stomp CONNECT\n")
			want := header.source
			if want == "" {
				want = c.LocalAddr().String()
			}
			if got := (<-seen).String(); got != want {
				t.Errorf("%s, %s: remote %s, want %s", mode, header.name, got, want)
			}
			s.Close()
		}
	}
}

func TestPROXYHeadersThatAreMissingBrokenOrUntrustedEndTheConnection(t *testing.T) {
	const v1 = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
	for _, tt := range []struct{ name, options, first, want string }{
		{"no header where one is optional", "proxyProtocol=optional&trustedProxies=127.0.0.1", "CONNECT\n", "stomp CONNECT\n"},
		{"no header where one is optional, of an untrusted client", "proxyProtocol=optional&trustedProxies=10.0.0.0/8", "CONNECT\n", "stomp CONNECT\n"},
		{"heart-beats that could be version 2", "proxyProtocol=optional&trustedProxies=127.0.0.1", "\r\n\r\nCONNECT\n", "stomp \r\nstomp \r\nstomp CONNECT\n"},
		{"no header where one is required", "proxyProtocol=required&trustedProxies=127.0.0.1", "CONNECT\n", ""},
		{"a broken header", "proxyProtocol=optional&trustedProxies=127.0.0.1", "PROXY x\r\n", ""},
		{"an untrusted client's header", "proxyProtocol=optional&trustedProxies=10.0.0.0/8", v1, ""},
		{"an untrusted client where all come from proxies", "proxyProtocol=required&trustedProxies=10.0.0.0/8", v1, ""},
	} {
		s := start(t, Options{Frontends: frontends(echoFrontend(STOMP))}, anyPort+"?"+tt.options)
		c := dial(t, s)
		send(t, c, tt.first)
		if tt.want != "" {
			expect(t, c, tt.want)
			continue
		}
		expectEnd(t, c, "")
		eventually(t, tt.name+" is counted", func() bool { return rejected(s, ReasonProxy) == 1 })
	}
}

func TestTheAnnouncedClientIsTheOneThatIsAdmitted(t *testing.T) {
	header := "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
	s := start(t, Options{Frontends: frontends(holdFrontend(STOMP))}, anyPort+"?proxyProtocol=required&trustedProxies=127.0.0.1")
	c := dial(t, s)
	send(t, c, header)
	expectEnd(t, c, "")
	eventually(t, "remote clients are refused behind a proxy too", func() bool { return rejected(s, ReasonRemote) == 1 })

	s = start(t, Options{Frontends: frontends(holdFrontend(STOMP)), AllowRemote: true, MaxStrangers: 1}, anyPort+"?proxyProtocol=required&trustedProxies=127.0.0.1")
	first := dial(t, s)
	send(t, first, header)
	eventually(t, "the first is admitted", func() bool { return s.Snapshot()[0].ByProtocol[0].Connections == 1 })
	second := dial(t, s)
	send(t, second, header)
	expectEnd(t, second, "")
	if n := rejected(s, ReasonMaxStrangers); n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	other := dial(t, s)
	send(t, other, strings.Replace(header, "192.0.2.1", "192.0.2.2", 1))
	eventually(t, "another client of the same proxy is admitted", func() bool { return s.Snapshot()[0].ByProtocol[0].Connections == 2 })
}

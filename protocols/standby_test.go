package protocols

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// secretRelays are nodes that share a secret.
type secretRelays struct{ secret string }

func (r secretRelays) Knows(a netip.Addr) bool { return a.IsLoopback() }
func (r secretRelays) Seal(head []byte) []byte {
	h := hmac.New(sha256.New, []byte(r.secret))
	h.Write(head)
	return h.Sum(nil)
}
func (r secretRelays) Opens(head, seal []byte) bool { return hmac.Equal(r.Seal(head), seal) }

// tellFrontend answers the first line with whom it believes to serve.
func tellFrontend() *fakeFrontend {
	return &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		defer c.Close()
		c.Authenticated()
		_, _ = io.WriteString(c, c.Remote.String()+"\n")
		_, _ = io.Copy(c, c)
	}}
}

func to(address string) *Standby {
	return &Standby{Target: func(*Listener) string { return address }}
}

func addressOf(s *Server) string { return s.Listeners()[0].Addr().String() }

func TestAStandbyPassesClientsThroughAndTheMasterSeesTheirAddress(t *testing.T) {
	r := secretRelays{"s"}
	master := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	follower := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	follower.SetStandby(to(addressOf(master)))
	c := dial(t, follower)
	send(t, c, "hello\n")
	expect(t, c, c.LocalAddr().String()+"\nhello\n")
	if got := follower.Snapshot()[0].Relayed; got != 1 {
		t.Errorf("%d connections are passed through", got)
	}
	big := bytes.Repeat([]byte("x"), 3<<20)
	go func() {
		_, _ = c.Write(big)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(big), err)
	}
	eventually(t, "nothing is left of it", func() bool {
		return follower.Snapshot()[0].Relayed == 0 && follower.Snapshot()[0].Connections == 0 && master.Snapshot()[0].Connections == 0
	})
}

func TestOnlyNodesOfTheGroupAreBelieved(t *testing.T) {
	master := start(t, Options{Frontends: frontends(tellFrontend()), Relays: secretRelays{"s"}}, anyPort)
	source, target := netip.MustParseAddrPort("127.9.9.9:99"), netip.MustParseAddrPort("127.0.0.1:1")
	for name, header := range map[string][]byte{
		"another secret": relayHeader(source, target, secretRelays{"another"}),
		"no seal":        []byte(proxyV2(0x21, 0x11, v4Body)),
		"an altered address": func() []byte {
			b := relayHeader(source, target, secretRelays{"s"})
			b[proxyV2Fixed+1]++
			return b
		}(),
	} {
		c := dial(t, master)
		send(t, c, string(header)+"hello\n")
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("%s: the master answered %q", name, got)
		}
	}
	c := dial(t, master)
	send(t, c, string(relayHeader(source, target, secretRelays{"s"}))+"hello\n")
	expect(t, c, "127.9.9.9:99\nhello\n")
	c = dial(t, master) // a client on a node's machine
	send(t, c, "hello\n")
	expect(t, c, c.LocalAddr().String()+"\nhello\n")
}

func TestARelayedClientOfAnotherMachineIsNoLocalOne(t *testing.T) {
	r := secretRelays{"s"}
	master := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort) // serves this machine only
	c := dial(t, master)
	send(t, c, string(relayHeader(netip.MustParseAddrPort("192.0.2.1:9"), netip.MustParseAddrPort("127.0.0.1:1"), r))+"hello\n")
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("the master answered %q", got)
	}
}

func TestRelayHeadersOfIPv6(t *testing.T) {
	r := secretRelays{"s"}
	want := proxyHeader{source: netip.MustParseAddrPort("[2001:db8::1]:5"), target: netip.MustParseAddrPort("[::ffff:192.0.2.1]:6")}
	b := relayHeader(want.source, want.target, r)
	h, n, err := parseProxy(b)
	if err != nil || n != len(b) || h != want || !sealed(b, r) {
		t.Errorf("%+v of %d bytes, %v", h, n, err)
	}
	if sealed(b[:proxyV2Fixed], r) || sealed(nil, r) {
		t.Error("a seal was found where none is")
	}
}

func TestClientsWaitForAMaster(t *testing.T) {
	r := secretRelays{"s"}
	master := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	follower := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	follower.SetStandby(to(""))
	waits := func() int {
		n := 0
		for _, c := range follower.Listeners()[0].connections() {
			if c.waiting.Load() {
				n++
			}
		}
		return n
	}
	relayed := dial(t, follower)
	send(t, relayed, "hello\n")
	eventually(t, "it waits", func() bool { return waits() == 1 })
	follower.SetStandby(to(addressOf(master)))
	expect(t, relayed, relayed.LocalAddr().String()+"\nhello\n")
	follower.SetStandby(to(""))
	expectEnd(t, relayed, "") // cut off, to come back
	// And one who waits while this node itself becomes the master.
	late := dial(t, follower)
	send(t, late, "hello\n")
	eventually(t, "it waits", func() bool { return waits() == 1 })
	follower.SetStandby(nil)
	expect(t, late, late.LocalAddr().String()+"\nhello\n")
}

func TestClientsDoNotWaitForever(t *testing.T) {
	follower := start(t, Options{Frontends: frontends(tellFrontend()), Relays: secretRelays{"s"}}, anyPort+"?transport.connectAttemptTimeout=200")
	follower.SetStandby(to(""))
	ended := func() {
		c := dial(t, follower)
		send(t, c, "x")
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes", n)
		}
	}
	ended()
	rejected := func(reason string) uint64 {
		for _, r := range follower.Snapshot()[0].Rejected {
			if r.Reason == reason {
				return r.Count
			}
		}
		t.Fatal("no such reason: ", reason)
		return 0
	}
	eventually(t, "it is counted", func() bool { return rejected("no_master")+rejected("handshake_timeout") == 1 })
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	follower.SetStandby(to(gone.Addr().String()))
	ended()
	eventually(t, "it is counted", func() bool { return rejected("not_master") == 1 })
}

func TestNodesThatDisagreeDoNotPassAClientBackAndForth(t *testing.T) {
	r := secretRelays{"s"}
	a := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	b := start(t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	a.SetStandby(to(addressOf(b)))
	b.SetStandby(to(addressOf(a)))
	c := dial(t, a)
	send(t, c, "hello\n")
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
}

// redirecting is a frontend that can send clients elsewhere.
type redirecting struct{ fakeFrontend }

func (r *redirecting) Redirect(c *Conn, address string) {
	_, _ = io.WriteString(c, "go to "+address)
	c.Goodbye()
}

func TestAStandbyRedirects(t *testing.T) {
	f := &redirecting{*tellFrontend()}
	s := start(t, Options{Frontends: map[string]Frontend{STOMP: f, MQTT: echoFrontend(MQTT)}}, "auto://127.0.0.1:0")
	s.SetStandby(&Standby{Target: func(*Listener) string { return "b:1" }, Redirect: true})
	c := dial(t, s)
	send(t, c, "CONNECT\n")
	expectEnd(t, c, "go to b:1")
	c = dial(t, s)
	send(t, c, beginnings[MQTT]) // whose frontend can't
	expectEnd(t, c, "")
}

func TestAMasterThatIsDeposedCutsItsClientsOff(t *testing.T) {
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP)), Relays: secretRelays{"s"}}, anyPort)
	c := dial(t, s)
	send(t, c, "a\n")
	expect(t, c, "stomp a\n")
	s.SetStandby(to(""))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the client stays")
	}
}

func TestManyNodesClientsAreNoStrangers(t *testing.T) {
	r := secretRelays{"s"}
	master := start(t, Options{Frontends: frontends(holdFrontend(STOMP)), Relays: r, MaxStrangers: 1}, anyPort)
	var open []net.Conn
	for i := range 5 {
		c := dial(t, master)
		source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}), 9)
		send(t, c, string(relayHeader(source, netip.MustParseAddrPort("127.0.0.1:1"), r))+"x\n")
		open = append(open, c)
	}
	eventually(t, "all are served", func() bool { return master.Snapshot()[0].ByProtocol[0].Connections == len(open) })
	again := dial(t, master)
	send(t, again, string(relayHeader(netip.MustParseAddrPort("127.0.1.0:8"), netip.MustParseAddrPort("127.0.0.1:1"), r))+"x\n")
	if got, _ := io.ReadAll(again); len(got) > 0 {
		t.Errorf("a second stranger of one address got %q", got)
	}
}

// BenchmarkRelay shows what a standby costs: bytes there and back.
func BenchmarkRelay(b *testing.B) {
	r := secretRelays{"s"}
	var t testing.T
	master := start(&t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	defer master.Close()
	follower := start(&t, Options{Frontends: frontends(tellFrontend()), Relays: r}, anyPort)
	defer follower.Close()
	follower.SetStandby(to(addressOf(master)))
	for name, s := range map[string]*Server{"direct": master, "relayed": follower} {
		b.Run(name, func(b *testing.B) {
			c, err := net.Dial("tcp", addressOf(s))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			chunk := []byte(strings.Repeat("x", 16<<10))
			b.SetBytes(int64(len(chunk)))
			var sent atomic.Int64
			go func() {
				for sent.Load() < int64(b.N)*int64(len(chunk)) {
					n, err := c.Write(chunk)
					if err != nil {
						return
					}
					sent.Add(int64(n))
				}
			}()
			_ = c.SetReadDeadline(time.Now().Add(time.Minute))
			first := make([]byte, 64)
			for n := 0; n == 0 || first[n-1] != '\n'; n++ {
				if _, err := c.Read(first[n : n+1]); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			if _, err := io.CopyN(io.Discard, c, int64(b.N)*int64(len(chunk))); err != nil {
				b.Fatal(err)
			}
		})
	}
}

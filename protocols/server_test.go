package protocols

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const anyPort = "stomp://127.0.0.1:0"

func frontends(fs ...Frontend) map[string]Frontend {
	m := make(map[string]Frontend)
	for _, f := range fs {
		m[f.Name()] = f
	}
	return m
}

func TestAFrontendGetsTheConnectionAndItsOptions(t *testing.T) {
	got := make(chan *Conn, 1)
	f := &fakeFrontend{name: STOMP, options: []string{"wireFormat.maxFrameSize"}, serve: func(c *Conn) {
		got <- c
		c.Close()
	}}
	s := start(t, Options{Frontends: frontends(f)}, anyPort+"?wireFormat.maxFrameSize=7")
	client := dial(t, s)
	c := <-got
	if c.Remote.String() != client.LocalAddr().String() || c.ID == 0 || c.TLS != nil || c.Listener != s.Listeners()[0].Config().Name || c.Wheel != s.Wheel() {
		t.Errorf("got %+v", c)
	}
	if n, err := c.Values.Size("wireFormat.maxFrameSize", 0); n != 7 || err != nil {
		t.Errorf("option: %d, %v", n, err)
	}
	expectEnd(t, client, "")
}

func TestStartOpensAllListenersOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := newTestServer(t, Options{Frontends: frontends(echoFrontend(STOMP))})
	uris := []string{anyPort, "stomp://" + taken.Addr().String(), "mqtt://127.0.0.1:0", anyPort + "?maximumConnection=1"}
	err = s.Start(context.Background(), parseAll(t, uris...))
	for _, want := range []string{"address already in use", "protocol mqtt is not served", `did you mean "maximumConnections"?`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if n := len(s.Listeners()); n != 0 {
		t.Errorf("%d listeners are open", n)
	}
}

func TestOptionsWithoutEffectAreLogged(t *testing.T) {
	var log logBuffer
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP)), Logger: log.logger()}, anyPort+"?transport.threadName=x")
	name := s.Listeners()[0].Config().Name
	if !strings.Contains(log.String(), `msg="listener option has no effect" listener=`+name+` option=transport.threadName reason="there is no thread pool to tune"`) {
		t.Error(log.String())
	}
}

func TestListenersHaveDifferentNames(t *testing.T) {
	s, l := newTestServer(t, Options{Frontends: frontends(echoFrontend(STOMP), echoFrontend(MQTT))}), newFakeListener()
	s.listen = func(context.Context, string) (net.Listener, error) { return l, nil }
	if err := s.Start(context.Background(), parseAll(t, anyPort, "stomp://[::1]", "stomp://h:61613", "mqtt://h")); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range s.Listeners() {
		names = append(names, l.Config().Name)
	}
	if got := strings.Join(names, " "); got != "stomp:61613 stomp:61613#2 stomp:61613#3 mqtt:1883" {
		t.Errorf("got %s", got)
	}
}

func TestClientsOnOtherMachinesAreRefusedUnlessAllowed(t *testing.T) {
	var log logBuffer
	s, l := startFake(t, Options{Frontends: frontends(echoFrontend(STOMP)), Logger: log.logger()}, anyPort)
	expectEnd(t, l.dial("192.0.2.1:1000"), "")
	expectEnd(t, l.dial("[2001:db8::1]:1000"), "")
	if n := rejected(s, ReasonRemote); n != 2 {
		t.Errorf("%d refusals counted", n)
	}
	if !strings.Contains(log.String(), "reason=remote_address") || !strings.Contains(log.String(), "configure a users file") {
		t.Error(log.String())
	}
	for _, from := range []string{"127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		c := l.dial(from)
		go func() { _, _ = io.WriteString(c, "a\n") }()
		expect(t, c, "stomp a\n")
		c.Close()
	}
	_, l = startFake(t, Options{Frontends: frontends(echoFrontend(STOMP)), AllowRemote: true}, anyPort)
	c := l.dial("192.0.2.1:1000")
	go func() { _, _ = io.WriteString(c, "a\n") }()
	expect(t, c, "stomp a\n")
}

func TestAListenerTakesMaximumConnections(t *testing.T) {
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP))}, anyPort+"?maximumConnections=2")
	first, second := dial(t, s), dial(t, s)
	for _, c := range []net.Conn{first, second} {
		send(t, c, "a\n")
		expect(t, c, "stomp a\n")
	}
	expectEnd(t, dial(t, s), "")
	if n := rejected(s, ReasonMaxConnections); n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	first.Close()
	eventually(t, "a place is free", func() bool { return s.Snapshot()[0].Connections == 1 })
	third := dial(t, s)
	send(t, third, "b\n")
	expect(t, third, "stomp b\n")
}

func TestStrangersOfOneAddressAreFew(t *testing.T) {
	welcome := make(chan struct{})
	f := &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		defer c.Close()
		<-welcome
		c.Authenticated()
		_, _ = io.WriteString(c, "hello\n")
		_, _ = io.Copy(io.Discard, c)
	}}
	s, l := startFake(t, Options{Frontends: frontends(f), AllowRemote: true, MaxStrangers: 2}, anyPort)
	first, second := l.dial("[2001:db8::1]:1"), l.dial("[2001:db8::2]:1") // one network
	expectEnd(t, l.dial("[2001:db8::3]:1"), "")
	other := l.dial("192.0.2.1:1")
	if n := s.Snapshot()[0].Unauthenticated; n > 3 {
		t.Errorf("%d strangers", n)
	}
	close(welcome)
	for _, c := range []net.Conn{first, second, other} {
		expect(t, c, "hello\n")
	}
	expect(t, l.dial("[2001:db8::3]:1"), "hello\n")
	if n := rejected(s, ReasonMaxStrangers); n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestStrangersOnThisMachineHaveALimitOnlyOnRequest(t *testing.T) {
	s, l := startFake(t, Options{Frontends: frontends(holdFrontend(STOMP)), AllowRemote: true}, anyPort)
	for range DefaultMaxStrangers {
		l.dial("127.0.0.1:1")
		l.dial("192.0.2.1:1")
	}
	l.dial("127.0.0.1:1")
	expectEnd(t, l.dial("192.0.2.1:1"), "")
	if n := s.Snapshot()[0].Connections; n != 2*DefaultMaxStrangers+1 {
		t.Errorf("%d connections", n)
	}
	_, l = startFake(t, Options{Frontends: frontends(holdFrontend(STOMP))}, anyPort+"?maximumUnauthenticated=1")
	l.dial("127.0.0.1:1")
	expectEnd(t, l.dial("127.0.0.1:1"), "")
}

func TestWhoDoesNotAuthenticateInTimeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s, l := startFake(t, Options{Frontends: frontends(holdFrontend(STOMP)), Logger: log.logger()}, anyPort)
		started := time.Now()
		expectEnd(t, l.dial("127.0.0.1:1"), "")
		if took := time.Since(started); took < 10*time.Second || took > 10200*time.Millisecond {
			t.Errorf("closed after %s", took)
		}
		synctest.Wait()
		if n := rejected(s, ReasonHandshakeTimeout); n != 1 {
			t.Errorf("%d refusals counted", n)
		}
		if !strings.Contains(log.String(), "reason=handshake_timeout") {
			t.Error(log.String())
		}
		s.Close()
	})
}

func TestWhoHasAuthenticatedHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := startFake(t, Options{Frontends: frontends(echoFrontend(STOMP))}, anyPort+"?transport.connectAttemptTimeout=1000")
		c := l.dial("127.0.0.1:1")
		time.Sleep(time.Hour)
		send(t, c, "a\n")
		expect(t, c, "stomp a\n")
		s.Close()
	})
}

func TestAPanicEndsOneConnectionOnly(t *testing.T) {
	var log logBuffer
	f := &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		b := make([]byte, 1)
		_, _ = io.ReadFull(c, b)
		if b[0] == 'x' {
			panic("broken invariant")
		}
		_, _ = c.Write(b)
		c.Close()
	}}
	s := start(t, Options{Frontends: frontends(f), Logger: log.logger()}, anyPort)
	other, bad := dial(t, s), dial(t, s)
	send(t, bad, "x")
	expectEnd(t, bad, "")
	send(t, other, "o")
	expectEnd(t, other, "o")
	eventually(t, "both have ended", func() bool { return s.Snapshot()[0].Connections == 0 })
	st := s.Snapshot()[0]
	if st.Panics != 1 || st.Unauthenticated != 0 || st.ByProtocol[0].Connections != 0 {
		t.Errorf("got %+v", st)
	}
	if !strings.Contains(log.String(), "broken invariant") || !strings.Contains(log.String(), "server_test.go") {
		t.Error("the log lacks the panic or its stack:", log.String())
	}
}

func TestAcceptingWaitsLongerAfterEachFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s, l := startFake(t, Options{Frontends: frontends(echoFrontend(STOMP)), Logger: log.logger()}, anyPort)
		full := &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
		last := time.Now()
		for i, want := range []int{0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			l.errs <- full
			if took := time.Since(last); took != time.Duration(want)*time.Millisecond {
				t.Errorf("failure %d came %s after the one before", i, took)
			}
			last = time.Now()
		}
		c := l.dial("127.0.0.1:1") // it recovers
		send(t, c, "a\n")
		expect(t, c, "stomp a\n")
		last = time.Now()
		l.errs <- full
		l.errs <- full
		if took := time.Since(last); took != 10*time.Millisecond {
			t.Errorf("after a success it waited %s", took)
		}
		if n := s.Snapshot()[0].AcceptErrors; n != 12 {
			t.Errorf("%d failures counted", n)
		}
		if n := strings.Count(log.String(), "accepting a connection failed"); n > 5 {
			t.Errorf("%d lines in %s", n, log.String())
		}
		s.Close()
	})
}

func TestDrainClosesStrangersAndTheQuietAndWaitsForTheBusy(t *testing.T) {
	release := make(chan struct{})
	var busyDone atomic.Bool
	f := &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		defer c.Close()
		b := make([]byte, 1)
		if _, err := io.ReadFull(c, b); err != nil || b[0] == 's' { // a stranger
			_, _ = io.Copy(io.Discard, c)
			return
		}
		c.Authenticated()
		for b[0] == 'b' { // busy
			if _, err := c.Write(b); err != nil {
				return
			}
			select {
			case <-release:
				busyDone.Store(true)
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		_, _ = io.Copy(io.Discard, c)
	}}
	s := start(t, Options{Frontends: frontends(f)}, anyPort)
	stranger, idle, busy := dial(t, s), dial(t, s), dial(t, s)
	send(t, stranger, "s")
	send(t, idle, "i")
	send(t, busy, "b")
	go func() { _, _ = io.Copy(io.Discard, busy) }()
	eventually(t, "two have authenticated", func() bool { return s.Snapshot()[0].Unauthenticated == 1 })

	drained := make(chan error, 1)
	go func() { drained <- s.Drain(context.Background()) }()
	expectEnd(t, stranger, "")
	expectEnd(t, idle, "")
	if _, err := net.Dial("tcp", s.Listeners()[0].Addr().String()); err == nil {
		t.Error("it still accepts")
	}
	select {
	case err := <-drained:
		t.Fatal("it did not wait for the busy connection:", err)
	default:
	}
	close(release)
	if err := <-drained; err != nil || !busyDone.Load() {
		t.Errorf("Drain: %v", err)
	}
	s.Close()
}

func TestDrainClosesTheBusyWhenItsTimeIsOver(t *testing.T) {
	f := &fakeFrontend{name: STOMP, serve: func(c *Conn) {
		defer c.Close()
		c.Authenticated()
		for {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	}}
	s := start(t, Options{Frontends: frontends(f)}, anyPort)
	c := dial(t, s)
	go func() { _, _ = io.Copy(io.Discard, c) }()
	eventually(t, "it serves", func() bool { return s.Snapshot()[0].BytesOut > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.Drain(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "closed 1 connections that were still busy") {
		t.Errorf("Drain: %v", err)
	}
	s.Close()
	if err := s.Start(context.Background(), parseAll(t, anyPort)); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	s := start(t, Options{Frontends: frontends(holdFrontend(STOMP))}, anyPort, "stomp://127.0.0.1:0?maximumConnections=1")
	c := dial(t, s)
	eventually(t, "it is accepted", func() bool { return s.Snapshot()[0].Connections == 1 })
	s.Close()
	s.Close()
	expectEnd(t, c, "")
	if n := s.Snapshot()[0].Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestSnapshotCounts(t *testing.T) {
	s := start(t, Options{Frontends: frontends(echoFrontend(STOMP))}, anyPort)
	c := dial(t, s)
	send(t, c, "abc\n")
	expect(t, c, "stomp abc\n")
	eventually(t, "the answer is counted", func() bool { return s.Snapshot()[0].BytesOut == 10 })
	st := s.Snapshot()[0]
	if st.Accepted != 1 || st.Connections != 1 || st.Unauthenticated != 0 || st.BytesIn != 4 || st.BytesOut != 10 ||
		fmt.Sprint(st.ByProtocol) != "[{stomp 1}]" || st.Addr != s.Listeners()[0].Addr().String() {
		t.Errorf("got %+v", st)
	}
	c.Close()
	eventually(t, "it has ended", func() bool { return s.Snapshot()[0].Connections == 0 })
	st = s.Snapshot()[0]
	if st.BytesIn != 4 || st.BytesOut != 10 || fmt.Sprint(st.ByProtocol) != "[{stomp 0}]" {
		t.Errorf("after its end: %+v", st)
	}
}

package protocols

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"
)

// The clock of these tests is long before any certificate: clients look at none.

const helloBegins = "\x16\x03\x01" // a handshake that goes no further holds its place

func TestAnAddressHasAQuarterOfTheTLSHandshakes(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	synctest.Test(t, func(t *testing.T) {
		s, l := startFake(t, Options{Frontends: allEchoes(), AllowRemote: true}, "stomp+ssl://h?maximumHandshakes=8&"+a.options("server"))
		defer s.Close()
		for _, source := range []string{"192.0.2.1:1", "192.0.2.1:2"} {
			send(t, l.dial(source), helloBegins)
		}
		synctest.Wait()
		third := l.dial("192.0.2.1:3")
		send(t, third, helloBegins)
		expectEnd(t, third, "")
		synctest.Wait()
		if n := rejected(s, ReasonMaxHandshakes); n != 1 {
			t.Errorf("%d refusals counted", n)
		}
		for _, source := range []string{"192.0.2.2:1", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"} { // no limit for this machine
			c := l.dial(source)
			send(t, c, helloBegins)
			synctest.Wait()
			if n := rejected(s, ReasonMaxHandshakes); n != 1 {
				t.Errorf("%s is refused", source)
			}
		}
		time.Sleep(6 * time.Second) // the places are given back
		synctest.Wait()
		c := tls.Client(l.dial("192.0.2.1:4"), &tls.Config{InsecureSkipVerify: true})
		if err := c.Handshake(); err != nil {
			t.Error(err)
		}
		c.Close()
	})
}

func TestTLSHandshakesWaitInLine(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	synctest.Test(t, func(t *testing.T) {
		s, l := startFake(t, Options{Frontends: allEchoes()}, "stomp+ssl://h?maximumHandshakes=1&"+a.options("server"))
		defer s.Close()
		holder := l.dial("127.0.0.1:1")
		send(t, holder, helloBegins)
		synctest.Wait()
		done := make(chan error, 1)
		next := tls.Client(l.dial("127.0.0.1:2"), &tls.Config{InsecureSkipVerify: true})
		go func() { done <- next.Handshake() }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		default:
		}
		holder.Close()
		if err := <-done; err != nil {
			t.Errorf("after its turn came: %v", err)
		}
		next.Close()
	})
}

func TestWhoseTurnDoesNotComeIsClosedInTime(t *testing.T) {
	a := newAuthority(t)
	a.issue("server", 2)
	synctest.Test(t, func(t *testing.T) {
		s, l := startFake(t, Options{Frontends: allEchoes(), TLSTimeout: 2 * time.Second}, "stomp+ssl://h?maximumHandshakes=1&"+a.options("server"))
		defer s.Close()
		s.Listeners()[0].handshakes.places <- struct{}{} // for ever
		started := time.Now()
		c := l.dial("127.0.0.1:1")
		send(t, c, helloBegins)
		expectEnd(t, c, "")
		if took := time.Since(started); took < 2*time.Second || took > 2200*time.Millisecond {
			t.Errorf("closed after %s", took)
		}
		synctest.Wait()
		if n := rejected(s, ReasonTLSTimeout); n != 1 {
			t.Errorf("%d refusals counted", n)
		}
	})
}

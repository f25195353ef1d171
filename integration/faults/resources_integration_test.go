//go:build integration

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
	"github.com/entrepot-mq/entrepot/integration/wire"
)

// openBroker starts a broker that allows many connections.
func openBroker(t *testing.T, settings ...string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: t.TempDir(), Listen: []string{"stomp://127.0.0.1:0?maximumConnections=15000"},
		Settings: append([]string{"log.level=warn"}, settings...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func metric(t *testing.T, b *harness.Broker, name string) float64 {
	t.Helper()
	m, err := b.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v, ok := m[name]
	if !ok {
		t.Fatalf("there is no metric %s", name)
	}
	return v
}

// each runs work for the numbers below n, so many at a time.
func each(n, atATime int, work func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, atATime)
	for w := range atATime {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && errs[w] == nil; i = int(next.Add(1)) - 1 {
				errs[w] = work(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// dialFrom connects from one of many addresses of this machine, so that ports
// don't run out.
func dialFrom(i int, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%200))}, Timeout: patience}
	return d.Dial("tcp", addr)
}

// visit connects and leaves: with DISCONNECT, without a word, or in the middle
// of a frame.
func visit(i int, addr string) error {
	raw, err := dialFrom(i, addr)
	if err != nil {
		return err
	}
	c := wire.Use(raw, patience)
	defer c.Close()
	if err := c.Send(wire.New("CONNECT", "accept-version", "1.2", "host", "localhost")); err != nil {
		return err
	}
	if _, err := c.Expect("CONNECTED", patience); err != nil {
		return err
	}
	switch i % 4 {
	case 0, 1:
		if err := c.Send(wire.New("DISCONNECT", "receipt", "bye")); err != nil {
			return err
		}
		_, err = c.Expect("RECEIPT", patience)
		return err
	case 2:
		if _, err := c.Write([]byte("SUBSCRIBE\nid:1\ndestination:/que")); err != nil {
			return err
		}
	}
	return c.Reset()
}

// settled waits until the broker's garbage has been collected twice from now on:
// after that go_gc_heap_live_bytes tells what is in use, and pools are empty.
// Reading the metrics is what makes the garbage.
func settled(t *testing.T, b *harness.Broker) {
	t.Helper()
	cycles := metric(t, b, "go_gc_duration_seconds_count")
	done := func() bool { return metric(t, b, "go_gc_duration_seconds_count") >= cycles+3 } // the first may be under way
	if err := harness.Until(t.Context(), 5*time.Minute, "collections of garbage", done); err != nil {
		t.Fatal(err)
	}
}

// TestAStormOfConnectionsLeavesNothingBehind: goroutines, descriptors and the
// heap in use come back to what they were after a first, small storm.
func TestAStormOfConnectionsLeavesNothingBehind(t *testing.T) {
	const warm, storm, atATime = 3000, 50_000, 64
	b := openBroker(t)
	visitOne := func(i int) error { return visit(i, b.Addr("stomp")) }
	if err := each(warm, atATime, visitOne); err != nil {
		t.Fatal(err)
	}
	gone := func() bool { return metric(t, b, "entrepot_connections") == 0 }
	if err := harness.Until(t.Context(), patience, "connections to end", gone); err != nil {
		t.Fatal(err)
	}
	settled(t, b)
	names := []string{"go_goroutines", "process_open_fds", "go_gc_heap_live_bytes"}
	baseline := map[string]float64{}
	for _, name := range names {
		baseline[name] = metric(t, b, name)
	}
	if err := each(storm, atATime, visitOne); err != nil {
		t.Fatal(err)
	}
	settled(t, b)
	for _, name := range names {
		last := 0.0
		back := func() bool {
			last = metric(t, b, name)
			return last <= baseline[name]*1.1
		}
		if err := harness.Until(t.Context(), 2*time.Minute, name+" to come back", back); err != nil {
			t.Errorf("%v: it was %v and is %v", err, baseline[name], last)
		}
		t.Logf("%s: %v before, %v after", name, baseline[name], last)
	}
	if n := metric(t, b, "entrepot_connections_opened_total"); n != warm+storm {
		t.Errorf("%v connections were counted", n)
	}
}

// roundTrips sends and receives through one queue, and returns the longest time
// that a message took.
func roundTrips(ctx context.Context, addr string) (longest time.Duration, n int, err error) {
	c, err := wire.Open(addr, patience)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if err := c.Send(wire.New("SUBSCRIBE", "id", "0", "destination", "/queue/watched")); err != nil {
		return 0, 0, err
	}
	for ; ctx.Err() == nil; n++ {
		begin := time.Now()
		if err := c.Send(wire.New("SEND", "destination", "/queue/watched", "persistent", "true")); err != nil {
			return longest, n, err
		}
		if _, err := c.Expect("MESSAGE", patience); err != nil {
			return longest, n, err
		}
		longest = max(longest, time.Since(begin))
	}
	return longest, n, nil
}

// watched runs something and reports how others fared meanwhile: none may wait
// longer than 2 s for a message that takes a millisecond otherwise.
func watched(t *testing.T, b *harness.Broker, disturb func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var longest time.Duration
	var n int
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { longest, n, err = roundTrips(ctx, b.Addr("stomp")) })
	disturb()
	cancel()
	wg.Wait()
	if err != nil || n == 0 || longest > 2*time.Second {
		t.Errorf("of %d messages of others one took %v: %v", n, longest, err)
	}
	t.Logf("%d messages of others meanwhile, %v at most", n, longest)
}

// TestTenThousandStrangersAreShownTheDoor: connections that never authenticate
// cost little, harm nobody and end.
func TestTenThousandStrangersAreShownTheDoor(t *testing.T) {
	const strangers, grow = 10_000, 100 << 20
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < strangers+500 {
		t.Fatalf("this test needs %d open files, the limit is %d: raise it (ulimit -n)", strangers+500, limit.Cur)
	}
	b := openBroker(t, "limits.handshakeTimeout=5s")
	before := metric(t, b, "process_resident_memory_bytes")
	words := []string{"", "C", "CONNECT\n", "CONNECT\nlogin:a\n", "\x16\x03\x01", "GET / HTTP/1.1\r\n"}
	watched(t, b, func() {
		conns := make([]net.Conn, strangers)
		err := each(strangers, 32, func(i int) (err error) {
			if conns[i], err = dialFrom(i, b.Addr("stomp")); err == nil {
				_, _ = conns[i].Write([]byte(words[i%len(words)])) // it may be closed at once
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if now := metric(t, b, "process_resident_memory_bytes"); now > before+grow {
			t.Errorf("%d strangers cost %.0f MiB", strangers, (now-before)/(1<<20))
		} else {
			t.Logf("%d strangers cost %.0f MiB", strangers, (now-before)/(1<<20))
		}
		for i, c := range conns {
			if c != nil {
				expectEnd(t, i, c)
			}
		}
	})
	closed := func() bool { return metric(t, b, "process_open_fds") < 200 }
	if err := harness.Until(t.Context(), patience, "descriptors to come back", closed); err != nil {
		t.Error(err)
	}
}

// expectEnd expects the broker to close a connection in time.
func expectEnd(t *testing.T, i int, c net.Conn) {
	t.Helper()
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
		return
	}
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("stranger %d is still connected", i)
			}
			return
		}
	}
}

// TestAByteASecondHarmsNobody: before and after the login.
func TestAByteASecondHarmsNobody(t *testing.T) {
	b := openBroker(t, "limits.handshakeTimeout=4s")
	frame := wire.Encode(wire.New("CONNECT", "accept-version", "1.2", "host", "localhost"))
	watched(t, b, func() {
		err := each(400, 400, func(i int) error {
			raw, err := dialFrom(i, b.Addr("stomp"))
			if err != nil {
				return err
			}
			defer raw.Close()
			loggedIn := i%2 == 0
			if loggedIn {
				c := wire.Use(raw, patience)
				if err := c.Send(wire.New("CONNECT", "accept-version", "1.2", "host", "localhost")); err != nil {
					return err
				}
				if _, err := c.Expect("CONNECTED", patience); err != nil {
					return err
				}
			}
			return trickle(raw, frame[:8], loggedIn)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// trickle sends a byte a second; strangers are closed before they are through.
func trickle(c net.Conn, frame []byte, welcome bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range frame {
		<-tick.C
		if _, err := c.Write(frame[i : i+1]); err != nil {
			if welcome {
				return fmt.Errorf("a slow client was closed after %d bytes: %w", i, err)
			}
			return nil
		}
	}
	if !welcome {
		return errors.New("a stranger had time for a byte a second")
	}
	return nil
}

// TestConsumersThatDoNotReadHarmNobody: 50 of them subscribe to a topic with a
// large window and never read.
func TestConsumersThatDoNotReadHarmNobody(t *testing.T) {
	const stuck, messages, size, grow = 50, 3000, 16 << 10, 256 << 20
	b := openBroker(t)
	before := metric(t, b, "process_resident_memory_bytes")
	for i := range stuck {
		c, err := wire.Open(b.Addr("stomp"), patience)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f := wire.New("SUBSCRIBE", "id", strconv.Itoa(i), "destination", "/topic/news", "receipt", "r")
		if err := c.Send(f); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Expect("RECEIPT", patience); err != nil {
			t.Fatal(err)
		}
	}
	watched(t, b, func() {
		p, err := wire.Open(b.Addr("stomp"), patience)
		if err != nil {
			t.Error(err)
			return
		}
		defer p.Close()
		for i := range messages {
			f := wire.New("SEND", "destination", "/topic/news", "receipt", strconv.Itoa(i))
			f.Body = make([]byte, size)
			if err := p.Send(f); err != nil {
				t.Error(err)
				return
			}
			if _, err := p.Expect("RECEIPT", patience); err != nil {
				t.Errorf("message %d: %v", i, err)
				return
			}
		}
	})
	if now := metric(t, b, "process_resident_memory_bytes"); now > before+grow {
		t.Errorf("%d consumers that don't read cost %.0f MiB", stuck, (now-before)/(1<<20))
	} else {
		t.Logf("%d consumers that don't read cost %.0f MiB", stuck, (now-before)/(1<<20))
	}
}

package stomp

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
)

// inBubble runs f with a connection whose time is virtual. The frontend, the
// broker and the wheel all live in the bubble.
func inBubble(t *testing.T, values protocols.Values, f func(c *client, front *Frontend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		b, err := broker.Open(broker.Options{Name: "test", Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		wheel := protocols.NewWheel(100*time.Millisecond, log)
		front := New(Options{Broker: b, Logger: log})
		near, far := net.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			front.Serve(&protocols.Conn{Conn: far, Listener: "test", Values: values, Wheel: wheel})
		}()
		f(&client{t: t, conn: near, in: bufio.NewReader(near), v: v12}, front)
		_ = near.Close()
		<-ended
		wheel.Close()
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// hello connects with a heart-beat header.
func (c *client) hello(heartBeat string) {
	c.t.Helper()
	c.v = v10
	c.send("CONNECT", "accept-version:1.2", "heart-beat:"+heartBeat)
	if f := c.read(); f.command != "CONNECTED" {
		c.t.Fatal(f)
	}
	c.v = v12
	_ = c.conn.SetReadDeadline(time.Time{})
}

func TestServerBeatsInTimeWhileNothingElseIsWritten(t *testing.T) {
	inBubble(t, nil, func(c *client, _ *Frontend) {
		c.hello("0,10000")
		last := time.Now()
		for range 20 {
			if b, err := c.in.ReadByte(); b != '\n' || err != nil {
				t.Fatalf("got %q, %v", b, err)
			}
			if d := time.Since(last); d > 10*time.Second || d < 5*time.Second && d != 0 { // 0: the LF behind CONNECTED
				t.Fatalf("a heart-beat after %v, agreed on 10s", d)
			}
			last = time.Now()
		}
	})
}

func TestClientThatKeepsSilentIsClosedAfterTheGracePeriod(t *testing.T) {
	for _, tt := range []struct {
		values   protocols.Values
		lo, hi   time.Duration
		heart    string
		sayAfter time.Duration
	}{
		{nil, 20 * time.Second, 20300 * time.Millisecond, "10000,0", 0},
		{protocols.Values{optGrace: "1.5"}, 15 * time.Second, 15300 * time.Millisecond, "10000,0", 0},
		{protocols.Values{optHeartBeat: "2000,0"}, 4 * time.Second, 4300 * time.Millisecond, "", 0},
		{nil, 39 * time.Second, 39300 * time.Millisecond, "10000,0", 19 * time.Second},
	} {
		inBubble(t, tt.values, func(c *client, front *Frontend) {
			start := time.Now()
			if tt.heart == "" {
				c.v = v10
				c.send("CONNECT", "accept-version:1.2")
				if f := c.read(); f.get("heart-beat") != "0,2000" {
					t.Fatal(f)
				}
				c.v = v12
				_ = c.conn.SetReadDeadline(time.Time{})
			} else {
				c.hello(tt.heart)
			}
			if tt.sayAfter > 0 {
				time.Sleep(tt.sayAfter)
				c.raw("\n")
			}
			f, err := readFrame(c.in, v12)
			if err != nil || f.command != "ERROR" || !strings.HasPrefix(f.get("message"), "nothing was received for ") {
				t.Fatalf("got %v, %v", f, err)
			}
			if _, err := io.Copy(io.Discard, c.in); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d < tt.lo || d > tt.hi {
				t.Errorf("%+v: closed after %v", tt, d)
			}
			if n := front.Snapshot().HeartBeats; n != 1 {
				t.Errorf("%d counted", n)
			}
		})
	}
}

func TestClientThatBeatsStaysConnected(t *testing.T) {
	inBubble(t, nil, func(c *client, _ *Frontend) {
		c.hello("1000,0")
		for range 100 {
			time.Sleep(900 * time.Millisecond)
			c.raw("\n")
		}
		c.send("DISCONNECT", "receipt:bye")
		c.receipt("bye")
	})
}

func TestSilentClientThatDoesNotReadEitherIsClosed(t *testing.T) {
	inBubble(t, protocols.Values{optWriteTimeout: "3600000"}, func(c *client, front *Frontend) {
		c.hello("1000,1000")
		eventuallyVirtual(t, func() bool { return front.Snapshot().Connections == 0 })
	})
}

func eventuallyVirtual(t *testing.T, ok func() bool) {
	t.Helper()
	for range 600 {
		time.Sleep(100 * time.Millisecond)
		if ok() {
			return
		}
	}
	t.Fatal("not within a minute")
}

func TestFrameInPiecesCountsAsSignOfLife(t *testing.T) {
	inBubble(t, nil, func(c *client, _ *Frontend) {
		c.hello("1000,0")
		for _, b := range []byte("SEND\ndestination:/queue/a\nreceipt:1\n\nslow\x00") {
			time.Sleep(1500 * time.Millisecond)
			c.raw(string(b))
		}
		c.receipt("1")
	})
}

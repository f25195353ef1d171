package stomp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	gostomp "github.com/go-stomp/stomp/v3"
	goframe "github.com/go-stomp/stomp/v3/frame"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
)

// listen starts a real listener for the rig's frontend and returns its
// address.
func (r *rig) listen(query string) string {
	r.t.Helper()
	cfg, err := protocols.ParseListener("stomp://127.0.0.1:0" + query)
	if err != nil {
		r.t.Fatal(err)
	}
	srv := protocols.NewServer(protocols.Options{Frontends: map[string]protocols.Frontend{"stomp": r.front}, Logger: r.log})
	if err := srv.Start(context.Background(), []protocols.ListenerConfig{cfg}); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(srv.Close)
	return srv.Listeners()[0].Addr().String()
}

// quietLogger drops what the client library logs: errors that a test provokes.
type quietLogger struct{}

func (quietLogger) Debugf(string, ...any)   {}
func (quietLogger) Infof(string, ...any)    {}
func (quietLogger) Warningf(string, ...any) {}
func (quietLogger) Errorf(string, ...any)   {}
func (quietLogger) Debug(string)            {}
func (quietLogger) Info(string)             {}
func (quietLogger) Warning(string)          {}
func (quietLogger) Error(string)            {}

func goClient(t *testing.T, addr string, opts ...func(*gostomp.Conn) error) *gostomp.Conn {
	t.Helper()
	c, err := gostomp.Dial("tcp", addr, append([]func(*gostomp.Conn) error{
		gostomp.ConnOpt.Logger(quietLogger{}), gostomp.ConnOpt.UnsubscribeReceiptTimeout(2 * time.Second),
		gostomp.ConnOpt.MsgSendTimeout(testWait), gostomp.ConnOpt.RcvReceiptTimeout(testWait),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.MustDisconnect() })
	return c
}

func goSubscribe(t *testing.T, c *gostomp.Conn, dest string, ack gostomp.AckMode, opts ...func(*goframe.Frame) error) *gostomp.Subscription {
	t.Helper()
	s, err := c.Subscribe(dest, ack, opts...)
	if err != nil {
		t.Fatal(err)
	}
	goSend(t, c, "/topic/nobody", "") // confirmed after SUBSCRIBE was carried out
	return s
}

func goRead(t *testing.T, s *gostomp.Subscription, body string) *gostomp.Message {
	t.Helper()
	select {
	case m := <-s.C:
		if m == nil || m.Err != nil || string(m.Body) != body {
			t.Fatalf("got %+v, want %q", m, body)
		}
		return m
	case <-time.After(testWait):
		t.Fatalf("no message %q", body)
		return nil
	}
}

// goUnsubscribe ends a subscription. The library may miss the receipt if that
// comes between its look at the state and its wait: the channel, which it closes
// first, tells.
func goUnsubscribe(t *testing.T, s *gostomp.Subscription) {
	t.Helper()
	err := s.Unsubscribe()
	if errors.Is(err, &gostomp.ErrUnsubscribeReceiptTimeout) {
		select {
		case _, open := <-s.C:
			if !open {
				return
			}
		default:
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func goSend(t *testing.T, c *gostomp.Conn, dest, body string, opts ...func(*goframe.Frame) error) {
	t.Helper()
	if err := c.Send(dest, "text/plain", []byte(body), append(opts, gostomp.SendOpt.Receipt)...); err != nil {
		t.Fatal(err)
	}
}

func TestGoStompClient(t *testing.T) {
	r := newRig(t, nil)
	addr := r.listen("?wireFormat.maxFrameSize=64m")
	persistent := gostomp.SendOpt.Header("persistent", "true")
	for _, v := range []gostomp.Version{gostomp.V10, gostomp.V11, gostomp.V12} {
		accept := gostomp.ConnOpt.AcceptVersion(v)
		queue := "/queue/" + v.String() + "."
		t.Run(v.String()+" queue", func(t *testing.T) {
			c := goClient(t, addr, accept)
			if c.Version() != v || c.Server() != "Entrepot/test" {
				t.Errorf("version %v, server %s", c.Version(), c.Server())
			}
			s := goSubscribe(t, c, queue+"a", gostomp.AckAuto)
			large := string(bytes.Repeat([]byte{0, 1, '\n', 255}, 1<<18))
			goSend(t, c, queue+"a", large, persistent)
			goRead(t, s, large)
			goSend(t, c, queue+"a", "x", gostomp.SendOpt.Header("k", "a:b"))
			if m := goRead(t, s, "x"); m.Header.Get("k") != "a:b" || m.ContentType != "text/plain" || m.Destination != queue+"a" {
				t.Errorf("%+v", m)
			}
			goUnsubscribe(t, s)
			if err := c.Disconnect(); err != nil {
				t.Error(err)
			}
		})
		t.Run(v.String()+" acknowledgement", func(t *testing.T) {
			for _, mode := range []gostomp.AckMode{gostomp.AckClient, gostomp.AckClientIndividual} {
				dest := queue + mode.String()
				c := goClient(t, addr, accept)
				s := goSubscribe(t, c, dest, mode)
				for i := range 3 {
					goSend(t, c, dest, strconv.Itoa(i), persistent)
				}
				goRead(t, s, "0")
				m := goRead(t, s, "1")
				goRead(t, s, "2")
				if err := c.Ack(m); err != nil {
					t.Fatal(err)
				}
				if err := c.Disconnect(); err != nil {
					t.Fatal(err)
				}
				c = goClient(t, addr, accept)
				s = goSubscribe(t, c, dest, gostomp.AckAuto)
				if mode == gostomp.AckClientIndividual {
					goRead(t, s, "0")
				}
				if m := goRead(t, s, "2"); m.Header.Get("redelivered") != "true" {
					t.Errorf("%+v", m.Header)
				}
			}
		})
		t.Run(v.String()+" transaction", func(t *testing.T) {
			c := goClient(t, addr, accept)
			s := goSubscribe(t, c, queue+"tx", gostomp.AckClient)
			goSend(t, c, queue+"tx", "in")
			m := goRead(t, s, "in")
			out := goSubscribe(t, c, queue+"out", gostomp.AckAuto)
			tx := c.Begin()
			if err := tx.Send(queue+"out", "", []byte("never")); err != nil {
				t.Fatal(err)
			}
			if err := tx.Ack(m); err != nil {
				t.Fatal(err)
			}
			if err := tx.AbortWithReceipt(); err != nil {
				t.Fatal(err)
			}
			tx = c.Begin()
			if err := tx.Ack(m); err != nil {
				t.Fatal(err)
			}
			if err := tx.Send(queue+"out", "", []byte("out")); err != nil {
				t.Fatal(err)
			}
			if err := tx.CommitWithReceipt(); err != nil {
				t.Fatal(err)
			}
			goRead(t, out, "out")
		})
		if v == gostomp.V10 {
			continue
		}
		t.Run(v.String()+" nack", func(t *testing.T) {
			c := goClient(t, addr, accept)
			s := goSubscribe(t, c, queue+"nack", gostomp.AckClientIndividual)
			dlq := goSubscribe(t, c, "/queue/ActiveMQ.DLQ", gostomp.AckAuto)
			goSend(t, c, queue+"nack", "poison", persistent)
			if err := c.Nack(goRead(t, s, "poison")); err != nil {
				t.Fatal(err)
			}
			goRead(t, dlq, "poison")
		})
		t.Run(v.String()+" topics", func(t *testing.T) {
			c := goClient(t, addr, accept, gostomp.ConnOpt.Header("client-id", "durable-"+v.String()))
			p := goClient(t, addr, accept)
			topic := "/topic/" + v.String() + "."
			s := goSubscribe(t, c, topic+">", gostomp.AckAuto)
			d := goSubscribe(t, c, topic+"b", gostomp.AckAuto, gostomp.SubscribeOpt.Header("activemq.subscriptionName", "d"))
			goSend(t, p, topic+"a", "1")
			goRead(t, s, "1")
			goUnsubscribe(t, d)
			goSend(t, p, topic+"b", "2", persistent)
			goRead(t, s, "2")
			d = goSubscribe(t, c, topic+"b", gostomp.AckAuto, gostomp.SubscribeOpt.Header("activemq.subscriptionName", "d"))
			goRead(t, d, "2")
		})
	}
	t.Run("error", func(t *testing.T) {
		c := goClient(t, addr)
		if err := c.Send("/queue/a.>", "", nil, gostomp.SendOpt.Receipt); err == nil {
			t.Error("a send to a wildcard was confirmed")
		}
	})
	t.Run("heart-beat", func(t *testing.T) {
		c := goClient(t, addr, gostomp.ConnOpt.HeartBeat(500*time.Millisecond, 500*time.Millisecond))
		s := goSubscribe(t, c, "/queue/beat", gostomp.AckAuto)
		p := goClient(t, addr)
		time.AfterFunc(2*time.Second, func() { _ = p.Send("/queue/beat", "", []byte("alive")) })
		goRead(t, s, "alive")
	})
}

func TestIdleConnectionsHoldLittle(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()}) // so that no file is in memory
	addr := r.listen("?maximumConnections=2000")
	clients := make([]net.Conn, 0, 600)
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close()
		}
	})
	idle := func(n int) {
		t.Helper()
		for i := range n {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
			if _, err := fmt.Fprintf(c, "CONNECT\naccept-version:1.2\nheart-beat:0,60000\n\n\x00"+
				"SUBSCRIBE\nid:0\ndestination:/topic/t%d\nreceipt:1\n\n\x00", i); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(io.LimitReader(c, int64(len("CONNECTED")))); err != nil || string(got) != "CONNECTED" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		eventually(t, "the writers have ended", func() bool { return strings.Count(goroutines(), ".(*conn).write(") == 0 })
	}
	idle(20) // what exists once: the store's files, pools
	const n = 500
	heapBefore, stackBefore := heap(), stackBytes()
	idle(n)
	heapEach, stackEach := (heap()-heapBefore)/n, (stackBytes()-stackBefore)/n
	t.Logf("%d bytes of heap and %d of stack for each subscribed connection, the client's end included", heapEach, stackEach)
	const clientsEnd = 512
	if heapEach+stackEach > idleLimit+clientsEnd {
		t.Errorf("an idle connection takes %d bytes", heapEach+stackEach)
	}
}

func goroutines() string {
	buf := make([]byte, 2<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

func stackBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}

package amqp

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testWait = 60 * time.Second

// rig is a broker with this frontend on a loopback socket.
type rig struct {
	t       testing.TB
	broker  *broker.Broker
	front   *Frontend
	address string
	ctx     context.Context

	elsewhere atomic.Value // string: where clients are sent, if it is set
}

func newRig(tb testing.TB, values protocols.Values) *rig {
	tb.Helper()
	return newRigWith(tb, values, broker.Options{})
}

func newRigWith(tb testing.TB, values protocols.Values, o broker.Options) *rig {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("AMQP_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	converters := message.Converters{message.EncodingAMQP: Converter{}, message.EncodingHub: message.Hub{}}
	o.Name, o.Logger, o.Converters = "test", log, converters
	b, err := broker.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	if values == nil {
		values = protocols.Values{}
	}
	if !values.Has(optPlain) {
		values[optPlain] = "true"
	}
	ctx, cancel := context.WithTimeout(context.Background(), testWait)
	r := &rig{t: tb, broker: b, ctx: ctx}
	r.front = New(Options{Broker: b, Logger: log, Name: "test", Server: "Entrepot/test", Converters: converters})
	wheel := protocols.NewWheel(10*time.Millisecond, log)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r.address = l.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for id := uint64(1); ; id++ {
			s, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				nc := &protocols.Conn{Conn: s, ID: id, Remote: s.RemoteAddr(), Listener: "test", Values: values, Wheel: wheel}
				if address, ok := r.elsewhere.Load().(string); ok {
					r.front.Redirect(nc, address)
				} else {
					r.front.Serve(nc)
				}
			})
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("close the broker: %v", err)
		}
		serving.Wait()
		wheel.Close()
		cancel()
	})
	return r
}

// dial connects a client of Azure's library.
func (r *rig) dial(id string) *goamqp.Conn {
	r.t.Helper()
	c, err := goamqp.Dial(r.ctx, "amqp://"+r.address, &goamqp.ConnOptions{ContainerID: id})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) session(c *goamqp.Conn) *goamqp.Session {
	r.t.Helper()
	s, err := c.NewSession(r.ctx, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) sender(s *goamqp.Session, address string, o *goamqp.SenderOptions) *goamqp.Sender {
	r.t.Helper()
	l, err := s.NewSender(r.ctx, address, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) receiver(s *goamqp.Session, address string, o *goamqp.ReceiverOptions) *goamqp.Receiver {
	r.t.Helper()
	l, err := s.NewReceiver(r.ctx, address, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r *rig) send(s *goamqp.Sender, m *goamqp.Message) {
	r.t.Helper()
	if err := s.Send(r.ctx, m, nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) receive(l *goamqp.Receiver) *goamqp.Message {
	r.t.Helper()
	m, err := l.Receive(r.ctx, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (r *rig) accept(l *goamqp.Receiver, m *goamqp.Message) {
	r.t.Helper()
	if err := l.AcceptMessage(r.ctx, m); err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits for a condition.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(testWait); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not in time: %s", what)
		}
	}
}

package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire"
	"github.com/entrepot-mq/entrepot/protocols/openwire/client"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a broker in memory that speaks OpenWire on a loopback port.
type rig struct {
	t       *testing.T
	broker  *broker.Broker
	address string
}

func newRig(t *testing.T, options protocols.Values) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	converters := message.Converters{message.EncodingOpenWire: openwire.Converter{}, message.EncodingHub: message.Hub{}}
	b, err := broker.Open(broker.Options{Name: "test", Logger: log, Converters: converters})
	must(t, err)
	front := openwire.New(openwire.Options{
		Broker: b, Logger: log, Version: "test", Converters: converters,
		Members: func(string) []string { return []string{"tcp://a:1", "tcp://b:2"} },
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	wheel := protocols.NewWheel(10*time.Millisecond, log)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for id := uint64(1); ; id++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go front.Serve(&protocols.Conn{Conn: nc, ID: id, Remote: nc.RemoteAddr(), Listener: "test", Values: options, Wheel: wheel})
		}
	}()
	t.Cleanup(func() {
		must(t, l.Close())
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		must(t, b.Close(ctx))
		wheel.Close()
	})
	return &rig{t, b, l.Addr().String()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (r *rig) dial(o client.Options) *client.Conn {
	r.t.Helper()
	c, err := client.Dial(patience(r.t), r.address, o)
	must(r.t, err)
	r.t.Cleanup(func() { _ = c.Close(patience(r.t)) }) // some have ended by then
	return c
}

func session(t *testing.T, c *client.Conn) *client.Session {
	t.Helper()
	s, err := c.NewSession(patience(t))
	must(t, err)
	return s
}

func queue(name string) wire.Destination { return client.Destination(message.Queue(name)) }

func producer(t *testing.T, s *client.Session, d wire.Destination) *client.Producer {
	t.Helper()
	p, err := s.NewProducer(patience(t), client.ProducerOptions{Destination: d})
	must(t, err)
	return p
}

func consumer(t *testing.T, s *client.Session, o client.ConsumerOptions) *client.Consumer {
	t.Helper()
	k, err := s.NewConsumer(patience(t), o)
	must(t, err)
	return k
}

// get receives a text.
func get(t *testing.T, k *client.Consumer, want string) *wire.MessageDispatch {
	t.Helper()
	d, err := k.Receive(patience(t))
	must(t, err)
	if text, _, err := wire.ReadText(d.Message.Fields().Content); err != nil || text != want {
		t.Fatalf("got %q (%v), want %q", text, err, want)
	}
	return d
}

func persistent(text string) *wire.ActiveMQTextMessage {
	m := client.NewText(text)
	m.Persistent = true
	return m
}

func TestMessagesArriveInEveryFormat(t *testing.T) {
	for _, f := range []wire.Format{{}, {Version: 5}, {Version: 12, Tight: true}, {Version: 12, CacheSize: 1024}, {Version: 12, Tight: true, CacheSize: 200}} {
		r := newRig(t, protocols.Values{"wireFormat.tightEncodingEnabled": "true", "wireFormat.cacheEnabled": "true"})
		c := r.dial(client.Options{Format: f})
		if c.Broker().BrokerName.String() != "test" {
			t.Errorf("the broker is %s", c.Broker().BrokerName)
		}
		s := session(t, c)
		p, k := producer(t, s, queue("a")), consumer(t, s, client.ConsumerOptions{Destination: queue("a"), Selector: "n > 1"})
		for n := range int32(4) {
			m := client.NewText("text", message.Property{Name: "n", Value: message.Int32Value(n)})
			must(t, p.SendSync(patience(t), m))
		}
		for range 2 {
			must(t, k.AcceptSync(patience(t), get(t, k, "text")))
		}
	}
}

func TestWhatTheBrokerRefusesIsAnException(t *testing.T) {
	c := newRig(t, nil).dial(client.Options{})
	s := session(t, c)
	_, err := s.NewConsumer(patience(t), client.ConsumerOptions{Destination: queue("a"), Selector: "("})
	x, ok := errors.AsType[*client.RemoteError](err)
	if !ok || x.Class != "javax.jms.InvalidSelectorException" {
		t.Fatalf("got %v", err)
	}
	must(t, producer(t, s, queue("a")).SendSync(patience(t), persistent("the connection goes on")))
}

func TestATransactionIsAllOrNothing(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(client.Options{})
	s, other := session(t, c), session(t, c)
	p, k := producer(t, s, queue("out")), consumer(t, s, client.ConsumerOptions{Destination: queue("in")})
	out := consumer(t, other, client.ConsumerOptions{Destination: queue("out")})
	must(t, producer(t, other, queue("in")).SendSync(patience(t), persistent("work")))
	work := get(t, k, "work")
	must(t, s.Begin())
	must(t, k.Accept(work))
	must(t, p.Send(persistent("never")))
	must(t, s.Rollback(patience(t)))
	must(t, s.Begin())
	must(t, k.Accept(work))
	must(t, p.Send(persistent("done")))
	must(t, s.Commit(patience(t)))
	get(t, out, "done")
	if q, err := r.broker.Queue("in"); err != nil || q.Messages != 0 {
		t.Errorf("%d messages wait (%v)", q.Messages, err)
	}
}

func TestMoreIsDeliveredThanThePrefetchWhileNothingIsAcknowledged(t *testing.T) {
	s := session(t, newRig(t, nil).dial(client.Options{}))
	p, k := producer(t, s, queue("a")), consumer(t, s, client.ConsumerOptions{Destination: queue("a"), Prefetch: 4})
	var all []*wire.MessageDispatch
	for range 50 {
		must(t, p.Send(client.NewText("x")))
		all = append(all, get(t, k, "x"))
	}
	for _, d := range all {
		must(t, k.Accept(d))
	}
	must(t, p.Send(client.NewText("y")))
	get(t, k, "y")
}

func TestABrowserEnds(t *testing.T) {
	s := session(t, newRig(t, nil).dial(client.Options{}))
	must(t, producer(t, s, queue("a")).SendSync(patience(t), client.NewText("x")))
	k := consumer(t, s, client.ConsumerOptions{Destination: queue("a"), Browse: true})
	get(t, k, "x")
	if _, err := k.Receive(patience(t)); !errors.Is(err, client.ErrEnd) {
		t.Fatalf("got %v", err)
	}
}

func TestRejectedMessagesBecomeDeadLetters(t *testing.T) {
	s := session(t, newRig(t, nil).dial(client.Options{}))
	must(t, producer(t, s, queue("a")).SendSync(patience(t), persistent("bad")))
	k := consumer(t, s, client.ConsumerOptions{Destination: queue("a")})
	must(t, k.Reject(get(t, k, "bad"), "can't be read"))
	dead := get(t, consumer(t, s, client.ConsumerOptions{Destination: queue("ActiveMQ.DLQ")}), "bad")
	if !strings.Contains(string(dead.Message.Fields().MarshalledProperties), "can't be read") {
		t.Error("the reason is lost")
	}
}

func TestAWindowBoundsWhatIsOnItsWay(t *testing.T) {
	s := session(t, newRig(t, nil).dial(client.Options{}))
	p, err := s.NewProducer(patience(t), client.ProducerOptions{Destination: queue("a"), Window: 3000})
	must(t, err)
	for range 100 {
		must(t, p.Send(client.NewBytes(make([]byte, 5000)))) // each is more than the window
	}
	must(t, p.Close())
	if err := p.Send(client.NewText("late")); !errors.Is(err, client.ErrClosed) {
		t.Errorf("sending with a closed producer: %v", err)
	}
}

func TestTemporaryDestinationsAnswerRequests(t *testing.T) {
	c := newRig(t, nil).dial(client.Options{})
	s := session(t, c)
	to, err := c.CreateTemp(patience(t), message.KindTempQueue)
	must(t, err)
	answers, requests := consumer(t, s, client.ConsumerOptions{Destination: to}), consumer(t, s, client.ConsumerOptions{Destination: queue("service")})
	m := client.NewText("question")
	m.ReplyTo, m.CorrelationID = to, wire.Text("c1")
	must(t, producer(t, s, queue("service")).Send(m))
	q := get(t, requests, "question").Message.Fields()
	answer := client.NewText("answer")
	answer.Destination, answer.CorrelationID = q.ReplyTo, q.CorrelationID
	must(t, producer(t, s, nil).Send(answer))
	if d := get(t, answers, "answer"); d.Message.Fields().CorrelationID.String() != "c1" {
		t.Error("another correlation id came back")
	}
	must(t, answers.Close(patience(t)))
	must(t, c.Delete(patience(t), to))
}

func TestDurableSubscriptionsCollectWhileTheClientIsAway(t *testing.T) {
	r := newRig(t, nil)
	news := client.Destination(message.Topic("news"))
	c := r.dial(client.Options{ClientID: "reader"})
	consumer(t, session(t, c), client.ConsumerOptions{Destination: news, Durable: "d"})
	must(t, c.Close(patience(t)))
	p := r.dial(client.Options{})
	must(t, producer(t, session(t, p), news).SendSync(patience(t), persistent("extra")))
	c = r.dial(client.Options{ClientID: "reader"})
	k := consumer(t, session(t, c), client.ConsumerOptions{Destination: news, Durable: "d"})
	must(t, k.AcceptSync(patience(t), get(t, k, "extra")))
	must(t, k.Close(patience(t)))
	must(t, c.Unsubscribe(patience(t), "d"))
	if n := len(r.broker.Durables()); n != 0 {
		t.Errorf("%d durable subscriptions are left", n)
	}
}

func TestWhoWaitsLearnsThatTheConnectionEnded(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(client.Options{FailOver: true})
	if c.Members() != "tcp://a:1,tcp://b:2" {
		t.Errorf("members are %q", c.Members())
	}
	k := consumer(t, session(t, c), client.ConsumerOptions{Destination: queue("a")})
	failed := make(chan error, 1)
	go func() { _, err := k.Receive(context.Background()); failed <- err }()
	r.dial(client.Options{})
	all, err := r.broker.Connections(broker.List{Limit: 10}, false)
	must(t, err)
	for _, one := range all.Items {
		must(t, r.broker.CloseConnection(one.ID, "for the test"))
	}
	if err := <-failed; err == nil {
		t.Error("receive did not fail")
	}
	<-c.Done()
	if c.Err() == nil || c.Tell(&wire.KeepAliveInfo{}) == nil {
		t.Error("the connection goes on")
	}
}

func TestASilentBrokerIsGivenUp(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial(client.Options{Inactivity: 500 * time.Millisecond})
	s := session(t, c)
	time.Sleep(time.Second) // both sides only show that they live
	must(t, producer(t, s, queue("a")).SendSync(patience(t), client.NewText("still here")))
	// A broker that only ever greets.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.Dial(ctx, l.Addr().String(), client.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a broker that says nothing: %v", err)
	}
}

func TestTheNextAddressIsTriedAfterOneThatFails(t *testing.T) {
	r := newRig(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	nobody := l.Addr().String()
	must(t, l.Close())
	c, err := client.DialAny(patience(t), []string{nobody, r.address}, client.Options{})
	must(t, err)
	must(t, c.Close(patience(t)))
	if _, err := client.DialAny(patience(t), []string{nobody}, client.Options{}); err == nil || !strings.Contains(err.Error(), nobody) {
		t.Errorf("got %v", err)
	}
}

func TestFramesBeyondTheLimitEndTheConnection(t *testing.T) {
	s := session(t, newRig(t, nil).dial(client.Options{MaxFrame: 64 << 10}))
	k := consumer(t, s, client.ConsumerOptions{Destination: queue("a")})
	must(t, producer(t, s, queue("a")).Send(client.NewBytes(make([]byte, 70<<10))))
	if _, err := k.Receive(patience(t)); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Fatalf("got %v", err)
	}
}

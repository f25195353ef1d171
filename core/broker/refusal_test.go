package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestWrongSubscriptionsAreRefused(t *testing.T) {
	long := strings.Repeat("x", message.MaxNameLength+1)
	for name, c := range map[string]struct {
		sub  Subscription
		code Code
		text string
	}{
		"no destination":       {Subscription{}, CodeInvalid, "no destination"},
		"a bad name":           {Subscription{Destination: message.Queue("a\x00b")}, CodeInvalid, "control character"},
		"a long name":          {Subscription{Destination: message.Queue(long)}, CodeInvalid, "longer than"},
		"a bad selector":       {Subscription{Destination: a, Selector: "x = = 1"}, CodeInvalid, "selector"},
		"a durable queue":      {Subscription{Destination: a, Durable: "d"}, CodeInvalid, "only a topic"},
		"a durable composite":  {Subscription{Destination: message.Topic("a,b"), Durable: "d"}, CodeNotSupported, "several topics"},
		"a browsed topic":      {Subscription{Destination: message.Topic("a"), Browse: true}, CodeInvalid, "only a queue"},
		"a temp that is gone":  {Subscription{Destination: message.Destination{Kind: message.KindTempQueue, Name: "x"}}, CodeNotFound, "temporary"},
		"a temp topic by name": {Subscription{Destination: message.Destination{Kind: message.KindTempTopic, Name: "x"}}, CodeNotFound, "temporary"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := connect(t, r.Broker, "me")
			_, err := s.Subscribe(c.sub)
			wantCode(t, err, c.code, c.text)
			if st := r.Stats(); st.Consumers != 0 || len(s.consumers) != 0 {
				t.Fatalf("%d consumers are left", st.Consumers)
			}
		})
	}
}

func TestADurableSubscriptionNeedsAClientID(t *testing.T) {
	r := newRig(t)
	_, err := connect(t, r.Broker, "").Subscribe(Subscription{Destination: message.Topic("t"), Durable: "d"})
	wantCode(t, err, CodeInvalid, "client id")
}

func TestWrongSendsAreRefusedInTheirTurn(t *testing.T) {
	for name, c := range map[string]struct {
		to   message.Destination
		body string
		code Code
		text string
	}{
		"no destination":          {message.Destination{}, "", CodeInvalid, "no destination"},
		"too large":               {a, strings.Repeat("x", 6000), CodeTooLarge, "limits.maxMessage"},
		"a wildcard":              {message.Queue("a.*"), "", CodeInvalid, "wildcard"},
		"a bad name":              {message.Queue("a\nb"), "", CodeInvalid, "control character"},
		"a wildcard in many":      {message.Queue("b,a.>"), "", CodeInvalid, "wildcard"},
		"a temp that is gone":     {message.Destination{Kind: message.KindTempQueue, Name: "x"}, "", CodeNotFound, "does not exist"},
		"too many at once":        {message.Queue(many(message.MaxComponents + 1)), "", CodeInvalid, "components"},
		"a composite of nothings": {message.Queue(","), "", CodeInvalid, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) { o.MaxMessage = 5000 })
			p := connect(t, r.Broker, "")
			log := &turns{}
			p.Publish(p.message(a, "before"), log, 1)
			p.Publish(p.message(c.to, c.body), log, 2)
			p.send(a, "after")
			if len(log.errs) != 2 || log.errs[0] != nil || log.bad {
				t.Fatalf("completed: %v", log.errs)
			}
			wantCode(t, log.errs[1], c.code, c.text)
			tx := p.Begin()
			wantCode(t, tx.Publish(p.message(c.to, c.body)), c.code, c.text)
			tx.Rollback()
			if st := r.Stats(); st.Messages != 2 || st.Queues != 1 {
				t.Fatalf("%d messages in %d queues", st.Messages, st.Queues)
			}
		})
	}
}

func many(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("q", i))
	}
	return strings.Join(names, ",")
}

// turns notes how operations completed; they have to do so in order.
type turns struct {
	errs []error
	last uint64
	bad  bool
}

// Complete implements Done.
func (l *turns) Complete(token uint64, err error) {
	l.bad = l.bad || token != l.last+1
	l.last = token
	l.errs = append(l.errs, err)
}

func TestSettlingWhatIsNotUnsettledIsRefused(t *testing.T) {
	r := newRig(t)
	p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
	k := c.subscribe(Subscription{Destination: a})
	p.send(a, "1")
	c.accept(c.deliveries(1)[0])
	for name, err := range map[string]error{
		"again":               k.Settle(1, Accepted, nil, 0),
		"through again":       k.SettleThrough(1, Accepted, nil, 0),
		"that never was":      k.Settle(99, Accepted, nil, 0),
		"in a transaction":    c.Begin().Settle(k, 1, Accepted),
		"through in one, too": c.Begin().SettleThrough(k, 99, Accepted),
	} {
		if CodeOf(err) != CodeNotFound {
			t.Errorf("settle %s: %v", name, err)
		}
	}
}

func TestAFinishedTransactionTakesNothing(t *testing.T) {
	r := newRig(t)
	p := connect(t, r.Broker, "")
	for name, finish := range map[string]func(*Transaction){
		"committed":   func(tx *Transaction) { tx.Commit(nil, 0) },
		"rolled back": func(tx *Transaction) { tx.Rollback() },
	} {
		tx := p.Begin()
		finish(tx)
		wantCode(t, tx.Publish(p.message(a, "x")), CodeState, "already")
		wantCode(t, tx.Settle(nil, 1, Accepted), CodeState, "already")
		w := make(waiter, 1)
		tx.Commit(w, 0)
		if err := <-w; CodeOf(err) != CodeState {
			t.Errorf("%s, then committed: %v", name, err)
		}
		tx.Rollback()
	}
}

func TestAClosedSessionTakesNothing(t *testing.T) {
	r := newRig(t)
	s := connect(t, r.Broker, "")
	s.Close()
	s.Close()
	_, err := s.Subscribe(Subscription{Destination: a})
	wantCode(t, err, CodeState, "closed")
	_, err = s.CreateTemp(message.KindTempQueue)
	wantCode(t, err, CodeState, "closed")
	wantCode(t, s.Begin().Publish(s.message(a, "x")), CodeState, "already")
	if st := r.Stats(); st.Consumers != 0 || st.Sessions != 0 {
		t.Fatalf("left: %+v", st)
	}
}

func TestAClosingBrokerTakesNobody(t *testing.T) {
	r := newRig(t)
	s := connect(t, r.Broker, "")
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.Connect(ConnectRequest{Sink: s})
	wantCode(t, err, CodeUnavailable, "shutting down")
	wantCode(t, s.ended, CodeUnavailable, "shutting down")
	w := make(waiter, 1)
	s.Publish(s.message(a, "x"), w, 0)
	if err := <-w; CodeOf(err) != CodeUnavailable {
		t.Fatalf("sent: %v", err)
	}
}

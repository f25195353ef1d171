package broker

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// soak is the record of what clients did to the broker together.
type soak struct {
	*rig
	mu        sync.Mutex
	confirmed map[string]bool // persistent messages that the broker has promised to keep
	accepted  map[string]bool // messages whose acceptance the broker has confirmed
	twice     []string
	sent      int
}

// soakClient is a connection that does random things. Deliveries come from any
// goroutine; it takes them up itself.
type soakClient struct {
	s     *soak
	rnd   *rand.Rand
	sess  *Session
	mu    sync.Mutex
	inbox []Delivery
	temp  []message.Destination
	subs  []*Consumer
	tx    *Transaction
	name  string
}

// Deliver implements Sink.
func (c *soakClient) Deliver(d Delivery) {
	c.s.mu.Lock()
	if !d.BrowseEnd && d.Consumer.Ref == nil && c.s.accepted[string(d.Message.Payload())] {
		c.s.twice = append(c.s.twice, string(d.Message.Payload()))
	}
	c.s.mu.Unlock()
	c.mu.Lock()
	c.inbox = append(c.inbox, d)
	c.mu.Unlock()
}

// Resume implements Sink.
func (c *soakClient) Resume() {}

// Closed implements Sink.
func (c *soakClient) Closed(error) {}

// note is a Done that remembers one message.
type note struct {
	s    *soak
	in   map[string]bool
	body string
}

// Complete implements Done.
func (n *note) Complete(_ uint64, err error) {
	if err == nil {
		n.s.mu.Lock()
		n.in[n.body] = true
		n.s.mu.Unlock()
	}
}

var soakQueues = []message.Destination{message.Queue("s.1"), message.Queue("s.2"), message.Queue("s.1,s.2")}

func (c *soakClient) run(until time.Time) {
	for n := 0; time.Now().Before(until); n++ {
		if c.sess == nil {
			c.connect()
		}
		switch c.rnd.IntN(20) {
		case 0:
			c.subscribe()
		case 1:
			if len(c.subs) > 0 {
				c.subs[c.rnd.IntN(len(c.subs))].Close()
			}
		case 2:
			c.replyTo()
		case 3:
			c.transact()
		case 4:
			if c.rnd.IntN(20) == 0 {
				c.end()
			}
		case 5, 6, 7, 8, 9:
			c.publish(n)
		default:
			for range c.rnd.IntN(10) {
				c.settle()
			}
		}
	}
	if c.sess != nil {
		c.end()
	}
}

func (c *soakClient) connect() {
	req := ConnectRequest{Protocol: "soak", Sink: c}
	if c.rnd.IntN(2) == 0 {
		req.ClientID, req.TakeOver = fmt.Sprint("client", c.rnd.IntN(3)), true
	}
	s, err := c.s.Connect(req)
	if err != nil {
		c.s.t.Error(err)
		return
	}
	c.sess = s
}

// end closes the session; its deliveries are nobody's from then on.
func (c *soakClient) end() {
	c.sess.Close()
	c.mu.Lock()
	c.inbox = nil
	c.mu.Unlock()
	c.sess, c.subs, c.temp, c.tx = nil, nil, nil, nil
}

func (c *soakClient) subscribe() {
	sub := Subscription{Destination: soakQueues[c.rnd.IntN(3)], Window: uint32(1 + c.rnd.IntN(50))}
	switch c.rnd.IntN(10) {
	case 0:
		sub.Destination = message.Queue("s.*")
	case 1:
		sub.Browse, sub.Ref = true, "browser"
	case 2, 3:
		sub.Destination, sub.Ref = message.Topic("s.>"), "topic"
	case 4:
		sub.Destination, sub.Durable, sub.Ref = message.Topic("s.>"), "d", "topic"
	case 5:
		sub.NoLocal, sub.Priority = true, 5
	case 6:
		sub.Exclusive = true
	}
	if k, err := c.sess.Subscribe(sub); err == nil {
		c.subs = append(c.subs, k)
	} else if code := CodeOf(err); code != CodeInUse && code != CodeInvalid && code != CodeState {
		c.s.t.Errorf("subscribe: %v", err)
	}
}

func (c *soakClient) message(n int) *message.Message {
	d := soakQueues[c.rnd.IntN(2)]
	if c.rnd.IntN(4) == 0 {
		d = message.Topic("s.t")
	}
	body := fmt.Sprint(c.name, ".", n, ".", c.rnd.Uint32())
	e := message.Envelope{
		ID: c.sess.NewID(), Destination: d, Durable: c.rnd.IntN(2) == 0, Priority: uint8(c.rnd.IntN(10)),
		Timestamp: 1, Publisher: c.sess.Publisher(),
	}
	return message.New(&e, message.EncodingSTOMP, []byte(body))
}

func (c *soakClient) publish(n int) {
	m := c.message(n)
	var done Done
	if m.Durable && m.Destination.Kind.IsQueue() {
		done = &note{c.s, c.s.confirmed, string(m.Payload())}
	}
	c.sess.Publish(m, done, 0)
	c.s.mu.Lock()
	c.s.sent++
	c.s.mu.Unlock()
}

func (c *soakClient) replyTo() {
	if d, err := c.sess.CreateTemp(message.KindTempQueue); err == nil {
		c.temp = append(c.temp, d)
	}
	if len(c.temp) > 3 {
		_ = c.sess.DeleteTemp(c.temp[0])
		c.temp = c.temp[1:]
	}
}

func (c *soakClient) take() (Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inbox) == 0 {
		return Delivery{}, false
	}
	d := c.inbox[0]
	c.inbox = c.inbox[1:]
	return d, !d.BrowseEnd
}

func (c *soakClient) settle() {
	d, ok := c.take()
	if !ok {
		return
	}
	switch c.rnd.IntN(12) {
	case 0:
		_ = d.Consumer.Settle(d.Tag, Released, nil, 0)
	case 1:
		_ = d.Consumer.Settle(d.Tag, Modified, nil, 0)
	default:
		var done Done
		if d.Consumer.Ref == nil && d.Message.Durable {
			done = &note{c.s, c.s.accepted, string(d.Message.Payload())}
		}
		_ = d.Consumer.Settle(d.Tag, Accepted, done, 0)
	}
}

func (c *soakClient) transact() {
	if c.tx == nil {
		c.tx = c.sess.Begin()
	}
	if d, ok := c.take(); ok {
		if c.tx.Settle(d.Consumer, d.Tag, Accepted) == nil && d.Consumer.Ref == nil && d.Message.Durable {
			// The end decides whether this one is accepted.
			tx, body := c.tx, string(d.Message.Payload())
			c.tx = nil
			if c.rnd.IntN(2) == 0 {
				tx.Commit(&note{c.s, c.s.accepted, body}, 0)
				return
			}
			tx.Rollback()
			_ = d.Consumer.Settle(d.Tag, Released, nil, 0)
			return
		}
	}
	_ = c.tx.Publish(c.message(0))
}

// TestClientsDoingRandomThingsLeaveNothingBehind runs ten clients, and then
// holds what they were promised against what is there.
func TestClientsDoingRandomThingsLeaveNothingBehind(t *testing.T) {
	length := 5 * time.Second
	if testing.Short() {
		length = 500 * time.Millisecond
	}
	s := &soak{
		rig:       newRig(t, func(o *Options) { o.Memory, o.Store.CheckpointInterval = 1<<20, 50*time.Millisecond }),
		confirmed: map[string]bool{}, accepted: map[string]bool{},
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	var all sync.WaitGroup
	for i := range 10 {
		c := &soakClient{s: s, rnd: rand.New(rand.NewPCG(seed, uint64(i))), name: strconv.Itoa(i)}
		all.Go(func() { c.run(time.Now().Add(length)) })
	}
	all.Wait()
	s.noClientsAreLeft()
	s.restart()
	left := s.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	for body := range s.confirmed {
		if !s.accepted[body] && !left[body] {
			t.Errorf("persistent message %s was confirmed and is lost", body)
		}
	}
	if len(s.twice) > 0 {
		t.Errorf("messages came again after their acceptance was confirmed: %v", s.twice)
	}
	t.Logf("%d sent, %d confirmed, %d accepted, %d left", s.sent, len(s.confirmed), len(s.accepted), len(left))
}

func (s *soak) noClientsAreLeft() {
	s.t.Helper()
	st := s.Stats()
	if st.Sessions != 0 || st.Consumers != 0 || st.WaitingProducers != 0 {
		s.t.Errorf("%d sessions, %d consumers, %d producers are left", st.Sessions, st.Consumers, st.WaitingProducers)
	}
	if n := len(s.queues.patterns); n != 0 {
		s.t.Errorf("%d patterns are left", n)
	}
	if n := len(s.topics.Routes("s.t").Subscribers); n != 0 {
		s.t.Errorf("%d subscribers are left", n)
	}
	for d := range s.queues.byName {
		if d.Kind.IsTemp() {
			s.t.Errorf("%s is left", d)
		}
	}
}

// drain consumes everything that is left, and deletes the durable
// subscriptions; nothing may be left then.
func (s *soak) drain() map[string]bool {
	c := connect(s.t, s.Broker, "")
	k := c.subscribe(Subscription{Destination: message.Queue(">"), Window: 1 << 30})
	left := map[string]bool{}
	waiting := 0
	for _, q := range s.everyQueue() {
		if q.Destination().Kind.IsQueue() {
			waiting += q.Stats().Messages
		}
	}
	for _, d := range c.deliveries(waiting) {
		left[string(d.Message.Payload())] = true
	}
	if waiting > 0 {
		w := make(waiter, 1)
		must(s.t, k.SettleThrough(uint64(waiting), Accepted, w, 0))
		must(s.t, <-w)
	}
	for i := range 3 {
		owner := connect(s.t, s.Broker, fmt.Sprint("client", i))
		if err := owner.DeleteDurable("d"); err != nil && CodeOf(err) != CodeNotFound {
			s.t.Error(err)
		}
		owner.Close()
	}
	if st := s.Stats(); st.Messages != 0 || st.MemoryUsed != 0 || st.Durables != 0 {
		s.t.Errorf("left: %d messages, %d bytes, %d durable subscriptions", st.Messages, st.MemoryUsed, st.Durables)
	}
	return left
}

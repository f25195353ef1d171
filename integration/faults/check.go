package faults

import (
	"errors"
	"fmt"
	"strings"
)

// Rules say what the places of a history are.
type Rules struct {
	// Routes are the places where a message that is sent to a destination has
	// to arrive: the durable subscriptions of a topic. Others arrive where they
	// are sent to.
	Routes map[string][]string
	// Single are the places with one consumer at a time.
	Single map[string]bool
}

// Verdict is what a checked history amounts to.
type Verdict struct {
	Sends        int // invoked
	Confirmed    int // sends that were confirmed, by themselves or with their transaction
	Refused      int
	Received     int
	Recovered    int // arrived although nobody confirmed the send
	Duplicates   int // deliveries beyond the first of a message, all of them allowed
	Acks         int // confirmed
	Transactions int // commits that were confirmed

	Lost         []string
	Unexpected   []string
	AfterReceipt []string
	Reordered    []string
	Partial      []string
	Unmarked     []string
}

// Err describes every broken rule, or is nil.
func (v *Verdict) Err() error {
	var broken []error
	for _, rule := range []struct {
		name  string
		found []string
	}{
		{"lost", v.Lost},
		{"unexpected", v.Unexpected},
		{"delivered again after the receipt for its acknowledgement", v.AfterReceipt},
		{"out of order", v.Reordered},
		{"partial transaction", v.Partial},
		{"delivered again without a mark", v.Unmarked},
	} {
		if n := len(rule.found); n > 0 {
			const shown = 10
			broken = append(broken, fmt.Errorf("%s: %d, such as\n\t%s", rule.name, n, strings.Join(rule.found[:min(n, shown)], "\n\t")))
		}
	}
	return errors.Join(broken...)
}

func (v *Verdict) String() string {
	return fmt.Sprintf("%d sends, %d confirmed, %d refused, %d recovered; %d deliveries, %d duplicates; %d acknowledgements and %d transactions confirmed",
		v.Sends, v.Confirmed, v.Refused, v.Recovered, v.Received, v.Duplicates, v.Acks, v.Transactions)
}

// arrival is a message at a place where it has to arrive.
type arrival struct {
	place string
	value Value
}

// fate is what is known of an arrival.
type fate struct {
	send      Event
	confirmed bool
	refused   bool
	received  int
	last      Event // the last Received
	acks      []Event
	ackedLife int // of the first confirmed acknowledgement, 0 without
	acked     Event
}

// transaction is what is known of a transaction.
type transaction struct {
	sends     []arrival
	acks      []arrival
	committed bool // COMMIT was sent
	confirmed bool
}

type checker struct {
	rules  Rules
	v      *Verdict
	fates  map[arrival]*fate
	order  []arrival // of invocation
	txs    map[string]*transaction
	newest map[stream]Event // the last first delivery of each stream
	seen   map[delivery]bool
}

// stream is what has an order: a producer's messages at a place, to one
// connection, or to all (0).
type stream struct {
	place, producer string
	conn            int
}

type delivery struct {
	arrival
	life int
}

// Check holds a history against the rules. At its end every place must have
// been drained, with acknowledgements.
func Check(events []Event, rules Rules) *Verdict {
	c := &checker{
		rules: rules, v: &Verdict{}, fates: map[arrival]*fate{}, txs: map[string]*transaction{},
		newest: map[stream]Event{}, seen: map[delivery]bool{},
	}
	for _, e := range events {
		c.event(e)
	}
	c.transactions()
	for _, a := range c.order {
		c.end(a)
	}
	return c.v
}

// places are where what is sent to a destination arrives.
func (c *checker) places(destination string) []string {
	if places, ok := c.rules.Routes[destination]; ok {
		return places
	}
	return []string{destination}
}

func (c *checker) tx(id string) *transaction {
	t := c.txs[id]
	if t == nil {
		t = &transaction{}
		c.txs[id] = t
	}
	return t
}

func (c *checker) event(e Event) {
	switch e.Kind {
	case SendInvoked:
		c.invoked(e)
	case SendConfirmed, SendRefused:
		c.answered(e)
	case Received:
		c.received(e)
	case AckInvoked, AckConfirmed:
		c.acknowledged(e)
	case CommitInvoked:
		c.tx(e.Tx).committed = true
	case CommitConfirmed:
		c.v.Transactions++
		t := c.tx(e.Tx)
		t.confirmed = true
		for _, a := range t.acks {
			c.settled(a, e)
		}
	case Aborted:
		c.tx(e.Tx)
	}
}

func (c *checker) invoked(e Event) {
	c.v.Sends++
	for _, place := range c.places(e.Place) {
		a := arrival{place, e.Value}
		c.fates[a] = &fate{send: e}
		c.order = append(c.order, a)
		if e.Tx != "" {
			t := c.tx(e.Tx)
			t.sends = append(t.sends, a)
		}
	}
}

func (c *checker) answered(e Event) {
	if e.Kind == SendConfirmed {
		c.v.Confirmed++
	} else {
		c.v.Refused++
	}
	for _, place := range c.places(e.Place) {
		if f := c.fates[arrival{place, e.Value}]; f != nil {
			f.confirmed = e.Kind == SendConfirmed
			f.refused = e.Kind == SendRefused
		}
	}
}

func (c *checker) received(e Event) {
	c.v.Received++
	a := arrival{e.Place, e.Value}
	f := c.fates[a]
	switch {
	case f == nil:
		c.v.Unexpected = append(c.v.Unexpected, "never sent: "+e.String())
		return
	case e.Corrupt:
		c.v.Unexpected = append(c.v.Unexpected, "changed: "+e.String())
	case f.refused:
		c.v.Unexpected = append(c.v.Unexpected, "its send was refused: "+e.String())
	}
	if f.ackedLife != 0 && e.Life >= f.ackedLife {
		c.v.AfterReceipt = append(c.v.AfterReceipt, fmt.Sprintf("%s, receipt %v", e, f.acked))
	}
	if f.received > 0 {
		c.v.Duplicates++
	} else if !e.Redelivered {
		c.ordered(e)
	}
	d := delivery{a, e.Life}
	if c.seen[d] && !e.Redelivered {
		c.v.Unmarked = append(c.v.Unmarked, fmt.Sprintf("%s, before %v", e, f.last))
	}
	c.seen[d] = true
	f.received++
	f.last = e
}

// ordered checks a first delivery against the one before.
func (c *checker) ordered(e Event) {
	s := stream{e.Place, e.Value.Producer, e.Conn}
	if c.rules.Single[e.Place] {
		s.conn = 0
	}
	if before, ok := c.newest[s]; ok && before.Value.Count >= e.Value.Count {
		c.v.Reordered = append(c.v.Reordered, fmt.Sprintf("%s, after %v", e, before))
	}
	c.newest[s] = e
}

func (c *checker) acknowledged(e Event) {
	a := arrival{e.Place, e.Value}
	f := c.fates[a]
	if f == nil {
		return // a message that was never sent is reported where it arrived
	}
	if e.Kind == AckConfirmed {
		c.v.Acks++
		c.settled(a, e)
		return
	}
	f.acks = append(f.acks, e)
	if e.Tx != "" {
		t := c.tx(e.Tx)
		t.acks = append(t.acks, a)
	}
}

// settled notes that an acknowledgement was confirmed by e.
func (c *checker) settled(a arrival, e Event) {
	if f := c.fates[a]; f != nil && f.ackedLife == 0 {
		f.ackedLife, f.acked = e.Life, e
	}
}

// transactions checks that each happened as a whole or not at all, and none
// twice for the same message.
func (c *checker) transactions() {
	effective := map[arrival]string{}
	for id, t := range c.txs {
		arrived := 0
		for _, a := range t.sends {
			if c.fates[a].received > 0 {
				arrived++
			}
		}
		switch {
		case !t.committed && arrived > 0:
			c.partial("%s was not committed, and %d of its %d messages arrived", id, arrived, len(t.sends))
		case t.confirmed && arrived < len(t.sends):
			c.partial("%s was committed with a receipt, and only %d of its %d messages arrived", id, arrived, len(t.sends))
		case arrived > 0 && arrived < len(t.sends):
			c.partial("of %s %d of %d messages arrived", id, arrived, len(t.sends))
		}
		if t.confirmed {
			c.v.Confirmed += len(t.sends)
		}
		if arrived == 0 && !t.confirmed {
			continue
		}
		for _, a := range t.acks {
			if other, twice := effective[a]; twice {
				c.partial("%s and %s both consumed %s at %s", other, id, a.value, a.place)
			}
			effective[a] = id
		}
	}
}

func (c *checker) partial(format string, args ...any) {
	c.v.Partial = append(c.v.Partial, fmt.Sprintf(format, args...))
}

// end decides what became of a message.
func (c *checker) end(a arrival) {
	f := c.fates[a]
	t := c.txs[a.value.Tx]
	confirmed := f.confirmed || t != nil && t.confirmed
	switch {
	case confirmed && f.received == 0:
		c.v.Lost = append(c.v.Lost, fmt.Sprintf("%s at %s never arrived: %v", a.value, a.place, f.send))
	case f.received > 0 && !c.consumed(f):
		c.v.Lost = append(c.v.Lost, fmt.Sprintf("%s at %s was not acknowledged, and not delivered again: %v", a.value, a.place, f.last))
	case f.received > 0 && !confirmed:
		c.v.Recovered++
	}
}

// consumed reports whether an acknowledgement may have taken effect.
func (c *checker) consumed(f *fate) bool {
	for _, ack := range f.acks {
		if ack.Tx == "" {
			return true
		}
		if t := c.txs[ack.Tx]; t.confirmed || t.committed && c.mayHaveHappened(t) {
			return true
		}
	}
	return false
}

// mayHaveHappened reports whether a transaction that was committed without an
// answer took effect, or can't be told.
func (c *checker) mayHaveHappened(t *transaction) bool {
	for _, a := range t.sends {
		if c.fates[a].received > 0 {
			return true
		}
	}
	return len(t.sends) == 0
}

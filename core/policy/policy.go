package policy

import (
	"math"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// Unlimited is what Redelivery.Maximum says for no limit.
const Unlimited = -1

// Policy is what holds for one destination.
type Policy struct {
	Durability store.Durability // when a persistent message counts as safe
	Redelivery Redelivery
	DeadLetter DeadLetter
	Prefetch   Prefetch
	Limit      Limit
	Pending    Pending
	Slow       Slow
	Recovery   Recovery
	Advise     Advise
	Existence
	// Exclusive makes every consumer of a queue ask to be its only one.
	Exclusive  bool
	Duplicates Duplicates
	Groups     Groups
	Start      Start
}

// Redelivery is what becomes of messages whose delivery failed.
type Redelivery struct {
	// Maximum is how often a message is delivered again before it becomes a
	// dead letter; Unlimited is for ever.
	Maximum int
	// Initial is the time before the first redelivery, Delay that before each
	// other one, or with Backoff the first of a growing series; then 0 means
	// Initial or, if that is 0 too, a second.
	Initial, Delay time.Duration
	Backoff        bool
	Multiplier     float64
	// Longest bounds delays, 0 for none.
	Longest time.Duration
	// Avoidance spreads delays by up to this part of them, 0 to 1.
	Avoidance float64
}

// maxDelay keeps sums of a time and a delay within bounds.
const maxDelay = 10 * 365 * 24 * time.Hour

// Exhausted reports whether a message whose delivery failed n times is not to
// be delivered again.
func (r *Redelivery) Exhausted(n uint32) bool {
	return r.Maximum != Unlimited && int64(n) > int64(r.Maximum)
}

// After returns the time from the nth failure, counted from 1, to the next
// delivery. chance, 0 to 1, decides where in its spread it lies.
func (r *Redelivery) After(n uint32, chance float64) time.Duration {
	d := float64(r.Initial)
	if n > 1 {
		d = float64(r.Delay)
		if r.Backoff {
			if d == 0 {
				d = float64(r.Initial)
			}
			if d == 0 {
				d = float64(time.Second)
			}
			d *= math.Pow(r.Multiplier, float64(n-2))
			if r.Delay == 0 {
				d *= r.Multiplier // the first of the series was Initial
			}
		}
	}
	if r.Avoidance > 0 {
		d *= 1 + r.Avoidance*(2*chance-1)
	}
	longest := maxDelay
	if r.Longest > 0 {
		longest = r.Longest
	}
	if d > float64(longest) { // +Inf too
		return longest
	}
	return time.Duration(d)
}

// Strategy says where dead letters go.
type Strategy uint8

// The strategies, by ActiveMQ's names.
const (
	Shared     Strategy = iota // one queue for all
	Individual                 // a queue for each destination
	Discard                    // nowhere
)

// DeadLetter is what becomes of messages that nobody is to get any more.
type DeadLetter struct {
	Strategy               Strategy
	Queue                  string // of Shared
	QueuePrefix            string // of Individual, for messages of queues
	QueueSuffix            string
	TopicPrefix            string // of Individual, for messages of topics
	TopicSuffix            string
	TopicForQueues         bool // Individual: dead letters of queues go to a topic
	TopicForTopics         bool // Individual: dead letters of topics go to a topic
	PerDurableSubscription bool // Individual: each durable subscription has its own
	Expired                bool // expired messages become dead letters
	NonPersistent          bool // non-persistent ones too
	// Expiration is how long a dead letter is kept, 0 for ever.
	Expiration time.Duration
}

// Target returns where dead letters of from go; subscription names the durable
// subscription that they were in, "" for none. ok is false if they are to be
// dropped.
func (d *DeadLetter) Target(from message.Destination, subscription string) (to message.Destination, ok bool) {
	switch d.Strategy {
	case Shared:
		return message.Queue(d.Queue), true
	case Individual:
		name, topic := d.QueuePrefix+from.Name+d.QueueSuffix, d.TopicForQueues
		if from.Kind.IsTopic() {
			name, topic = d.TopicPrefix+from.Name, d.TopicForTopics
			if d.PerDurableSubscription && subscription != "" {
				name += "." + subscription
			}
			name += d.TopicSuffix
		}
		if topic {
			return message.Topic(name), true
		}
		return message.Queue(name), true
	case Discard:
	}
	return message.Destination{}, false
}

// Prefetch is how many unsettled deliveries consumers get that don't say.
type Prefetch struct {
	Queue, Browser, Topic, Durable int
}

// Duplicates are how a destination finds messages that a client sends again.
type Duplicates struct {
	Window   int    // messages whose ids are remembered, 0 for none
	Property string // that holds the id; without it the message id counts, if the protocol has one
}

// Groups are how a queue serves message groups.
type Groups struct {
	Most      int  // groups that have an owner at a time; with Buckets, their number
	Buckets   bool // groups share owners by a hash of their names
	Rebalance bool // groups get new owners when a consumer joins
}

// Start is what a queue without consumers waits for before it serves those
// that come: their number, or a time after the first one. 0 asks for nothing.
type Start struct {
	Consumers int
	Wait      time.Duration
}

// Overflow is what happens to a message that a full queue should take.
type Overflow uint8

// The ways.
const (
	Block      Overflow = iota // it is taken, and its producer waits
	Reject                     // its producer gets an error
	DropOldest                 // the queue's oldest message makes room
)

// Limit bounds a queue.
type Limit struct {
	Messages int   // 0 for no limit
	Bytes    int64 // of the messages as they are stored, 0 for no limit
	Overflow Overflow
}

// Default returns what holds where no entry says anything.
func Default() Policy {
	return Policy{
		Redelivery: Redelivery{Maximum: 10, Multiplier: 2},
		DeadLetter: DeadLetter{
			Queue: "ActiveMQ.DLQ", QueuePrefix: "ActiveMQ.DLQ.Queue.", TopicPrefix: "ActiveMQ.DLQ.Topic.", Expired: true,
		},
		Prefetch:   Prefetch{Queue: 1000, Browser: 500, Topic: 32767, Durable: 100},
		Pending:    Pending{Limit: 1000},
		Slow:       defaultSlow,
		Recovery:   defaultRecovery,
		Existence:  defaultExistence,
		Groups:     Groups{Most: 1024},
		Duplicates: Duplicates{Property: "_AMQ_DUPL_ID"},
	}
}

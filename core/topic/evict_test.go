package topic

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
)

func quote(symbol string, n int, priority uint8) *message.Message {
	e := &message.Envelope{Destination: message.Topic("t"), Priority: priority, Type: symbol, CorrelationID: fmt.Sprint(n)}
	return message.New(e, message.EncodingHub, []byte("12345678"))
}

func symbol(m *message.Message) (string, bool) { return m.Type, m.Type != "" }

// waits publishes to a consumer that takes one message and no more, and
// returns what waits then.
func waits(evict Evictor, limit int, msgs ...*message.Message) string {
	in := &inbox{}
	c := queue.NewConsumer(broker{}, queue.ConsumerOptions{Window: 1, Target: in})
	s := NewSubscriber(c, Options{Limits: Limits{Pending: limit, Unsettled: 1 << 30}, Evict: evict})
	s.Publish(quote("first", 0, 4))
	for _, m := range msgs {
		s.Publish(m)
	}
	var out []string
	for _, m := range s.pending[s.head:] {
		out = append(out, m.Type+m.CorrelationID)
	}
	return strings.Join(out, " ")
}

func TestASlowConsumerLosesWhatItsPolicyChooses(t *testing.T) {
	msgs := []*message.Message{
		quote("a", 1, 4), quote("b", 2, 2), quote("a", 3, 9), quote("b", 4, 2), quote("c", 5, 4), quote("", 6, 3),
	}
	for _, tt := range []struct {
		evict Evictor
		want  string
	}{
		{nil, "b4 c5 6"},
		{LowestPriority{}, "a1 a3 c5"},
		{&Latest{Value: symbol}, "a3 c5 6"},
	} {
		if got := waits(tt.evict, 3, msgs...); got != tt.want {
			t.Errorf("%T leaves %q, want %q", tt.evict, got, tt.want)
		}
	}
}

// TestTheLatestOfEachValueIsKept: as long as there is room for all values,
// what waits holds the latest message of each.
func TestTheLatestOfEachValueIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := &inbox{}
		window := rapid.Uint32Range(1, 3).Draw(t, "window")
		c := queue.NewConsumer(broker{}, queue.ConsumerOptions{Window: window, Target: in})
		const values = 4
		s := NewSubscriber(c, Options{Limits: Limits{Pending: values, Unsettled: 1 << 30}, Evict: &Latest{Value: symbol}})
		latest := make(map[string]*message.Message)
		for n := range rapid.IntRange(1, 60).Draw(t, "messages") {
			m := quote(string(rune('a'+rapid.IntRange(0, values-1).Draw(t, "value"))), n, 4)
			latest[m.Type] = m
			s.Publish(m)
			if rapid.Bool().Draw(t, "settle") {
				_ = c.SettleThrough(uint64(len(in.got)), queue.Accepted, nil, 0)
			}
			waiting := make(map[*message.Message]bool)
			for _, w := range s.pending[s.head:] {
				waiting[w] = true
			}
			for v, m := range latest {
				if !waiting[m] && !in.has(m) {
					t.Fatalf("the latest %s, number %s, is neither delivered nor waits", v, m.CorrelationID)
				}
			}
		}
	})
}

type noticed struct {
	discarded []string
	slow      int
}

func (n *noticed) Discarded(m *message.Message) {
	n.discarded = append(n.discarded, m.Type+m.CorrelationID)
}
func (n *noticed) Slow() { n.slow++ }

func TestAWatcherHearsOfSlownessOnceUntilItIsOver(t *testing.T) {
	in, w := &inbox{}, &noticed{}
	c := queue.NewConsumer(broker{}, queue.ConsumerOptions{Window: 1, Target: in})
	s := NewSubscriber(c, Options{Limits: Limits{Pending: 2, Unsettled: 1 << 30}, Watch: w})
	for n := range 6 {
		s.Publish(quote("m", n, 4))
	}
	if fmt.Sprint(w.discarded) != "[m1 m2 m3]" || w.slow != 1 {
		t.Fatalf("discarded %v, slow %d times", w.discarded, w.slow)
	}
	for tag := range uint64(3) {
		if err := c.Settle(tag+1, queue.Accepted, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		s.Publish(quote("n", n, 4))
	}
	if w.slow != 2 {
		t.Fatalf("slow %d times", w.slow)
	}
}

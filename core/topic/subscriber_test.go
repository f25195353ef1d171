package topic

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// broker is all that a consumer of topics needs.
type broker struct{ queue.Broker }

// Commit implements queue.Broker.
func (broker) Commit(r store.Request) {
	if r.Done != nil {
		r.Done.Complete(r.Token, nil)
	}
}

// inbox keeps the numbers of what it gets.
type inbox struct {
	got  []uint64
	msgs []*message.Message
}

func (b *inbox) has(m *message.Message) bool { return slices.Contains(b.msgs, m) }

// Deliver implements queue.Target.
func (b *inbox) Deliver(d queue.Delivery) {
	b.msgs = append(b.msgs, d.Message)
	b.got = append(b.got, binary.BigEndian.Uint64(d.Message.Payload()))
}

func numbered(n uint64, size int) *message.Message {
	body := make([]byte, max(8, size))
	binary.BigEndian.PutUint64(body, n)
	return message.New(&message.Envelope{Destination: message.Topic("t")}, message.EncodingHub, body)
}

func newSubscriber(limits Limits, window uint32) (*Subscriber, *queue.Consumer, *inbox) {
	in := &inbox{}
	c := queue.NewConsumer(broker{}, queue.ConsumerOptions{Window: window, Target: in})
	return NewSubscriber(c, Options{Limits: limits}), c, in
}

// TestSubscriberKeepsTheNewest: whatever comes and is settled, deliveries are
// in order, and what is missing are the oldest of those that waited.
func TestSubscriberKeepsTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 10, 700}).Draw(t, "pending")
		window := rapid.SampledFrom([]uint32{1, 5, 1000}).Draw(t, "window")
		s, c, in := newSubscriber(Limits{Pending: limit, Unsettled: 1 << 30}, window)
		var waiting, want []uint64
		n, settled, dropped := uint64(0), uint64(0), uint64(0)
		deliver := func() {
			for len(waiting) > 0 && uint64(len(want))-settled < uint64(window) {
				want, waiting = append(want, waiting[0]), waiting[1:]
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "rounds") {
			for range rapid.SampledFrom([]int{1, 20, 1500}).Draw(t, "publish") {
				n++
				waiting = append(waiting, n)
				deliver()
				if len(waiting) > limit {
					waiting = waiting[1:]
					dropped++
				}
				if slow := s.Publish(numbered(n, 8)); slow != (len(waiting) > limit/2) {
					t.Fatalf("slow %v with %d of %d waiting", slow, len(waiting), limit)
				}
			}
			if open := uint64(len(want)) - settled; open > 0 {
				settled += rapid.Uint64Range(1, open).Draw(t, "settle")
				deliver()
				if err := c.SettleThrough(settled, queue.Accepted, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			if fmt.Sprint(in.got) != fmt.Sprint(want) {
				t.Fatalf("got %v, want %v", in.got, want)
			}
			if s.Dropped() != dropped {
				t.Fatalf("%d dropped, want %d", s.Dropped(), dropped)
			}
		}
	})
}

func TestSubscriberBoundsBytesButKeepsTheNewestMessage(t *testing.T) {
	size := numbered(0, 1000).Size()
	s, _, in := newSubscriber(Limits{Pending: 1000, Unsettled: 3 * size}, 1)
	for n := range uint64(10) {
		s.Publish(numbered(n, 1000))
	}
	if s.waiting() != 3 || s.Dropped() != 6 || len(in.got) != 1 {
		t.Fatalf("%d wait, %d dropped, %d delivered", s.waiting(), s.Dropped(), len(in.got))
	}
	s.Publish(numbered(10, 10_000))
	if s.waiting() != 1 || s.bytes != numbered(10, 10_000).Size() {
		t.Fatalf("%d wait with %d bytes after one larger than the limit", s.waiting(), s.bytes)
	}
}

func TestPressureSeesProgress(t *testing.T) {
	s, c, _ := newSubscriber(Limits{Pending: 10, Unsettled: 1 << 20}, 1)
	for n := range uint64(7) {
		s.Publish(numbered(n, 8))
	}
	full, progress := s.Pressure()
	if !full {
		t.Fatal("six of ten waiting are no pressure")
	}
	if err := c.Settle(1, queue.Accepted, nil, 0); err != nil {
		t.Fatal(err)
	}
	if full, now := s.Pressure(); full || now == progress {
		t.Fatalf("after a delivery: full %v, progress %d, %d before", full, now, progress)
	}
}

func TestAnEndedSubscriberTakesNothing(t *testing.T) {
	s, c, in := newSubscriber(Limits{Pending: 10, Unsettled: 1 << 20}, 1)
	for n := range uint64(8) {
		s.Publish(numbered(n, 8))
	}
	c.Close()
	s.Publish(numbered(9, 8))
	s.Recover([]*message.Message{numbered(10, 8)})
	if full, _ := s.Pressure(); full || s.waiting() != 0 || s.bytes != 0 || len(in.got) != 1 {
		t.Fatalf("full %v, %d wait, %d bytes, %d delivered", full, s.waiting(), s.bytes, len(in.got))
	}
	if late := NewSubscriber(c, Options{Limits: DefaultLimits}); late.Publish(numbered(1, 8)) || !late.ended {
		t.Fatal("a subscriber of a closed consumer lives")
	}
}

func TestWhatIsPublishedWhileASubscriberRecoversComesOnceAndBehind(t *testing.T) {
	in := &inbox{}
	c := queue.NewConsumer(broker{}, queue.ConsumerOptions{Window: 10, Target: in})
	s := NewSubscriber(c, Options{Limits: DefaultLimits, Held: true})
	var m []*message.Message
	for n := range uint64(4) {
		m = append(m, numbered(n, 8))
	}
	s.Publish(m[2])
	s.Publish(m[3])
	s.Recover(m[:3])
	if fmt.Sprint(in.got) != "[0 1 2 3]" {
		t.Fatalf("got %v", in.got)
	}
}

func TestRecoveredMessagesComeFirstAndAreNotDropped(t *testing.T) {
	s, c, in := newSubscriber(Limits{Pending: 2, Unsettled: 1 << 20}, 1)
	var old []*message.Message
	for n := range uint64(20) {
		old = append(old, numbered(n, 8))
	}
	s.Recover(old)
	for n := uint64(20); n < 30; n++ {
		s.Publish(numbered(n, 8))
	}
	for tag := uint64(1); c.Settle(tag, queue.Accepted, nil, 0) == nil; tag++ {
	}
	if s.Dropped() == 0 || len(in.got) < 20 {
		t.Fatalf("%d dropped, got %v", s.Dropped(), in.got)
	}
	for n := range 20 {
		if in.got[n] != uint64(n) {
			t.Fatalf("got %v", in.got)
		}
	}
}

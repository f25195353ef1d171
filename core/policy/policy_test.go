package policy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

func compile(tb testing.TB, entries ...Entry) *Set {
	tb.Helper()
	s, err := New(Default(), entries)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func prefetch(d message.Destination, n int) Entry {
	return Entry{d, func(p *Policy) { p.Prefetch.Queue = n }}
}

func TestTheMostSpecificPatternDecides(t *testing.T) {
	s := compile(t,
		prefetch(message.Queue("orders.new"), 1),
		prefetch(message.Queue("orders.*"), 2),
		prefetch(message.Queue("orders.>"), 3),
		prefetch(message.Queue("*.new"), 4),
		prefetch(message.Queue("*.new.*"), 5),
		prefetch(message.Queue(">"), 6),
		prefetch(message.Queue("twice"), 7),
		prefetch(message.Queue("twice"), 8),
		prefetch(message.Topic("orders.new"), 9),
		prefetch(message.Destination{Kind: message.KindTempQueue, Name: ">"}, 10),
	)
	for _, test := range []struct {
		d    message.Destination
		want int
	}{
		{message.Queue("orders.new"), 1},
		{message.Queue("orders.old"), 2},
		{message.Queue("orders.old.eu"), 3},
		{message.Queue("orders"), 3},
		{message.Queue("x.new"), 4},
		{message.Queue("x.new.y"), 5},
		{message.Queue("orders.new.y"), 3},
		{message.Queue("x"), 6},
		{message.Queue("a..b"), 6},
		{message.Queue("twice"), 8},
		{message.Topic("orders.new"), 9},
		{message.Topic("orders.old"), 1000},
		{message.Destination{Kind: message.KindTempQueue, Name: "ID:a.b:1"}, 10},
		{message.Destination{Kind: message.KindTempTopic, Name: "ID:a.b:1"}, 1000},
	} {
		for range 2 { // found, and remembered
			if got := s.For(test.d).Prefetch.Queue; got != test.want {
				t.Errorf("%s: %d, want %d", test.d, got, test.want)
			}
		}
	}
}

func TestEntriesAreMergedSettingBySetting(t *testing.T) {
	s := compile(t,
		Entry{message.Queue("a.b"), func(p *Policy) { p.Exclusive = true }},
		Entry{message.Queue("a.>"), func(p *Policy) { p.Exclusive, p.Limit.Messages = false, 5 }},
		Entry{message.Queue(">"), func(p *Policy) { p.Limit.Messages, p.Redelivery.Maximum = 9, 3 }},
	)
	p := s.For(message.Queue("a.b"))
	if !p.Exclusive || p.Limit.Messages != 5 || p.Redelivery.Maximum != 3 || p.Prefetch.Topic != 32767 {
		t.Errorf("merged to %+v", *p)
	}
}

func TestPatternsSelectWhatTheySelectElsewhere(t *testing.T) {
	var patterns, names []string
	for _, a := range []string{"a", "b", "*", ">"} {
		patterns = append(patterns, a)
		for _, b := range []string{"a", "*", ">", ""} {
			patterns = append(patterns, a+"."+b)
			for _, c := range []string{"a", "*", ">"} {
				patterns = append(patterns, a+"."+b+"."+c)
			}
		}
	}
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*>") {
			names = append(names, p)
		}
	}
	for _, p := range patterns {
		s := compile(t, prefetch(message.Queue(p), 1))
		for _, n := range names {
			if got, want := s.For(message.Queue(n)).Prefetch.Queue == 1, message.Matches(p, n); got != want {
				t.Errorf("%q selects %q: %t, want %t", p, n, got, want)
			}
		}
	}
}

func TestBadPatternsAreRefused(t *testing.T) {
	for _, d := range []message.Destination{
		{}, {Kind: message.KindNone, Name: "a"}, {Kind: 99, Name: "a"}, message.Queue(""), message.Queue("a,b"), message.Queue("a\x00"),
	} {
		if _, err := New(Default(), []Entry{prefetch(d, 1)}); err == nil || !strings.HasPrefix(err.Error(), "policy for") {
			t.Errorf("%q: %v", d.Name, err)
		}
	}
}

func TestNamesThatComeAndGoDontPileUp(t *testing.T) {
	s := compile(t, prefetch(message.Queue(">"), 1))
	var all sync.WaitGroup
	for g := range 2 {
		all.Go(func() {
			for i := range maxKnown {
				s.For(message.Queue(fmt.Sprint(g, ".", i)))
			}
		})
	}
	all.Wait()
	if len(s.known) > maxKnown {
		t.Errorf("%d names are remembered", len(s.known))
	}
}

func TestDelaysOfRedeliveries(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name string
		r    Redelivery
		want []time.Duration
	}{
		{"at once", Redelivery{}, []time.Duration{0, 0, 0}},
		{"fixed", Redelivery{Initial: 5 * ms, Delay: 7 * ms}, []time.Duration{5 * ms, 7 * ms, 7 * ms}},
		{"growing", Redelivery{Initial: 5 * ms, Delay: 10 * ms, Backoff: true, Multiplier: 2}, []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms}},
		{"growing from the first", Redelivery{Initial: 5 * ms, Backoff: true, Multiplier: 3}, []time.Duration{5 * ms, 15 * ms, 45 * ms}},
		{"bounded", Redelivery{Delay: 10 * ms, Backoff: true, Multiplier: 10, Longest: 50 * ms}, []time.Duration{0, 10 * ms, 50 * ms, 50 * ms}},
		{"spread", Redelivery{Initial: 100 * ms, Delay: 10 * ms, Avoidance: 0.5}, []time.Duration{150 * ms, 15 * ms}},
	} {
		for i, want := range test.want {
			if got := test.r.After(uint32(i+1), 1); got != want {
				t.Errorf("%s: failure %d: %v, want %v", test.name, i+1, got, want)
			}
		}
	}
	endless := Redelivery{Delay: time.Hour, Backoff: true, Multiplier: 1e9}
	if got := endless.After(1<<32-1, 0); got != maxDelay {
		t.Errorf("a series without bound ends at %v", got)
	}
}

func TestRedeliveriesEndAfterTheMaximum(t *testing.T) {
	for _, test := range []struct {
		max  int
		n    uint32
		want bool
	}{{0, 1, true}, {1, 1, false}, {1, 2, true}, {Unlimited, 1<<32 - 1, false}} {
		r := Redelivery{Maximum: test.max}
		if got := r.Exhausted(test.n); got != test.want {
			t.Errorf("maximum %d, failure %d: %t", test.max, test.n, got)
		}
	}
}

func TestWhereDeadLettersGo(t *testing.T) {
	individual := Default().DeadLetter
	individual.Strategy = Individual
	topics := individual
	topics.TopicForQueues, topics.TopicForTopics, topics.PerDurableSubscription = true, true, true
	topics.QueueSuffix, topics.TopicSuffix = ".q", ".t"
	shared := Default().DeadLetter
	for _, test := range []struct {
		name string
		d    DeadLetter
		from message.Destination
		sub  string
		want message.Destination
	}{
		{"shared", shared, message.Queue("a"), "", message.Queue("ActiveMQ.DLQ")},
		{"of a queue", individual, message.Queue("a"), "", message.Queue("ActiveMQ.DLQ.Queue.a")},
		{"of a topic", individual, message.Topic("a"), "c.s", message.Queue("ActiveMQ.DLQ.Topic.a")},
		{"to a topic", topics, message.Queue("a"), "", message.Topic("ActiveMQ.DLQ.Queue.a.q")},
		{"of a subscription", topics, message.Topic("a"), "c.s", message.Topic("ActiveMQ.DLQ.Topic.a.c.s.t")},
		{"nowhere", DeadLetter{Strategy: Discard}, message.Queue("a"), "", message.Destination{}},
	} {
		got, ok := test.d.Target(test.from, test.sub)
		if got != test.want || ok == test.want.IsZero() {
			t.Errorf("%s: %s %t, want %s", test.name, got, ok, test.want)
		}
	}
}

func FuzzPatternsNeverPanicAndAgreeWithMatches(f *testing.F) {
	f.Add("a.*", "a.b")
	f.Add(">", "")
	f.Add("a.>.b", "a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		s, err := New(Default(), []Entry{prefetch(message.Queue(pattern), 1)})
		if err != nil || message.ValidateName(name) != nil {
			return
		}
		got := s.For(message.Queue(name)).Prefetch.Queue == 1
		if want := message.Matches(pattern, name); got != want {
			t.Errorf("%q selects %q: %t, want %t", pattern, name, got, want)
		}
	})
}

package topic

import (
	"fmt"
	"sync"
	"testing"
)

func TestTableForgetsRoutesWhenSubscriptionsChange(t *testing.T) {
	table := NewTable()
	count := func() string {
		r := table.Routes("a.b")
		return fmt.Sprint(len(r.Subscribers), len(r.Bindings))
	}
	s := &Subscriber{}
	b := &Binding{Pattern: "a.*"}
	for i, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "0 0"},
		{func() { table.Subscribe("a.>", s) }, "1 0"},
		{func() { table.Bind(b) }, "1 1"},
		{func() { table.Subscribe("other", &Subscriber{}) }, "1 1"},
		{func() { table.Unsubscribe("a.>", s) }, "0 1"},
		{func() { table.Unbind(b) }, "0 0"},
	} {
		step.change()
		if got := count(); got != step.want {
			t.Fatalf("step %d: %s, want %s", i, got, step.want)
		}
		if routes := table.Routes("a.b"); routes != table.Routes("a.b") {
			t.Fatalf("step %d: routes are not kept", i)
		}
	}
}

func TestTableKeepsABoundedNumberOfRoutes(t *testing.T) {
	table := NewTable()
	for i := range 3 * maxCached {
		table.Routes(fmt.Sprint("topic.", i))
		if len(table.cache) > maxCached {
			t.Fatalf("%d routes are kept", len(table.cache))
		}
	}
}

// Routes of a message that is published while subscriptions change are those
// from before or after, never a mixture, and never stay old.
func TestTableIsSafeWhileItChanges(t *testing.T) {
	table := NewTable()
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 300 {
				s, c, _ := newSubscriber(DefaultLimits, 1)
				pattern := fmt.Sprintf("a.%d.*", g)
				table.Subscribe(pattern, s)
				if n := len(table.Routes(fmt.Sprintf("a.%d.x", g)).Subscribers); n != 1 {
					t.Errorf("%d subscribers right after the subscription", n)
				}
				table.Routes("a.0.x").Publish(numbered(uint64(i), 8))
				table.Unsubscribe(pattern, s)
				c.Close()
			}
		})
	}
	all.Wait()
	if n := len(table.Routes("a.0.x").Subscribers); n != 0 {
		t.Fatalf("%d subscribers are left", n)
	}
}

func TestPublishReturnsASlowSubscription(t *testing.T) {
	table := NewTable()
	fast, _, _ := newSubscriber(Limits{Pending: 2, Unsettled: 1 << 20}, 100)
	slow, _, _ := newSubscriber(Limits{Pending: 2, Unsettled: 1 << 20}, 1)
	table.Subscribe("t", fast)
	table.Subscribe("t", slow)
	var got []bool
	for n := range uint64(4) {
		got = append(got, table.Routes("t").Publish(numbered(n, 8)) == slow)
	}
	if fmt.Sprint(got) != "[false false true true]" {
		t.Fatalf("slow: %v", got)
	}
	if s := table.Routes("none").Publish(numbered(5, 8)); s != nil {
		t.Fatal("a topic that nobody hears is slow")
	}
}

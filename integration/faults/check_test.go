package faults

import (
	"strings"
	"testing"
)

// script builds a history from words: what happened, to which message, where.
type script struct{ h *History }

func (s script) add(k Kind, place string, count int, change ...func(*Event)) script {
	e := Event{Kind: k, Life: 1, Conn: 1, Place: place, Value: Value{Producer: "p", Count: count}}
	for _, c := range change {
		c(&e)
	}
	s.h.Add(e)
	return s
}

func inLife(n int) func(*Event)     { return func(e *Event) { e.Life = n } }
func conn(n int) func(*Event)       { return func(e *Event) { e.Conn = n } }
func in(tx string) func(*Event)     { return func(e *Event) { e.Tx = tx } }
func sentIn(tx string) func(*Event) { return func(e *Event) { e.Value.Tx = tx } }
func redelivered(e *Event)          { e.Redelivered = true }
func corrupt(e *Event)              { e.Corrupt = true }

func (s script) sent(place string, counts ...int) script {
	for _, n := range counts {
		s.add(SendInvoked, place, n).add(SendConfirmed, place, n)
	}
	return s
}

func (s script) consumed(place string, counts ...int) script {
	for _, n := range counts {
		s.add(Received, place, n).add(AckInvoked, place, n).add(AckConfirmed, place, n)
	}
	return s
}

func newScript() script { return script{NewHistory()} }

func TestGoodHistoriesAreAccepted(t *testing.T) {
	for name, s := range map[string]script{
		"nothing":                  newScript(),
		"everything consumed":      newScript().sent("q", 1, 2, 3).consumed("q", 1, 2, 3),
		"unknown send that failed": newScript().add(SendInvoked, "q", 1),
		"unknown send that did not": newScript().add(SendInvoked, "q", 1).
			consumed("q", 1),
		"refused send": newScript().add(SendInvoked, "q", 1).add(SendRefused, "q", 1),
		"two consumers, each in order": newScript().sent("q", 1, 2, 3, 4).
			add(Received, "q", 2, conn(2)).add(AckInvoked, "q", 2).consumed("q", 1, 3).
			add(Received, "q", 4, conn(2)).add(AckInvoked, "q", 4),
		"redelivery in a later life": newScript().sent("q", 1).add(Received, "q", 1).
			add(Received, "q", 1, inLife(2)).add(AckInvoked, "q", 1, inLife(2)),
		"redelivery to another connection": newScript().sent("q", 1).add(Received, "q", 1).
			add(Received, "q", 1, conn(2), redelivered).add(AckInvoked, "q", 1),
		"redelivery after an acknowledgement without receipt": newScript().sent("q", 1).
			add(Received, "q", 1).add(AckInvoked, "q", 1).
			add(Received, "q", 1, inLife(2)).add(AckInvoked, "q", 1, inLife(2)),
		"redelivered out of order": newScript().sent("q", 1, 2).
			add(Received, "q", 2).add(AckInvoked, "q", 2).
			add(Received, "q", 1, redelivered).add(AckInvoked, "q", 1),
		"both subscriptions": newScript().sent("t", 1).consumed("s1", 1).consumed("s2", 1),
		"committed": newScript().
			add(SendInvoked, "q", 1, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")).add(CommitConfirmed, "", 0, in("x")).
			add(Received, "q", 1, sentIn("x")).add(AckInvoked, "q", 1, sentIn("x")),
		"aborted": newScript().
			add(SendInvoked, "q", 1, in("x"), sentIn("x")).add(Aborted, "", 0, in("x")),
		"unknown commit that did not happen": newScript().sent("q", 1).add(Received, "q", 1).
			add(AckInvoked, "q", 1, in("x")).add(SendInvoked, "r", 1, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")).
			add(Received, "q", 1, inLife(2)).add(AckInvoked, "q", 1, inLife(2)),
		"unknown commit that happened": newScript().sent("q", 1).add(Received, "q", 1).
			add(AckInvoked, "q", 1, in("x")).add(SendInvoked, "r", 1, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")).
			add(Received, "r", 1, sentIn("x"), inLife(2)).add(AckInvoked, "r", 1, sentIn("x"), inLife(2)),
	} {
		t.Run(name, func(t *testing.T) {
			if err := Check(s.h.Events(), testRules).Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

var testRules = Rules{Routes: map[string][]string{"t": {"s1", "s2"}}, Single: map[string]bool{"single": true}}

func TestBadHistoriesAreFound(t *testing.T) {
	for name, test := range map[string]struct {
		s    script
		want string // "rule: count"
	}{
		"confirmed and never seen":             {newScript().sent("q", 1, 2).consumed("q", 1), "lost: 1"},
		"at one of two subscriptions":          {newScript().sent("t", 1).consumed("s1", 1), "lost: 1"},
		"seen, not acknowledged and gone":      {newScript().sent("q", 1).add(Received, "q", 1), "lost: 1"},
		"recovered, not acknowledged and gone": {newScript().add(SendInvoked, "q", 1).add(Received, "q", 1), "lost: 1"},
		"acknowledged in an aborted transaction and gone": {newScript().sent("q", 1).add(Received, "q", 1).
			add(AckInvoked, "q", 1, in("x")).add(Aborted, "", 0, in("x")), "lost: 1"},
		"acknowledged in a transaction that did not happen and gone": {newScript().sent("q", 1).add(Received, "q", 1).
			add(AckInvoked, "q", 1, in("x")).add(SendInvoked, "r", 1, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")), "lost: 1"},
		"phantom":           {newScript().consumed("q", 7), "unexpected: 1"},
		"at a wrong place":  {newScript().sent("q", 1).consumed("q", 1).consumed("r", 1), "unexpected: 1"},
		"changed":           {newScript().sent("q", 1).add(Received, "q", 1, corrupt).add(AckInvoked, "q", 1), "unexpected: 1"},
		"refused and there": {newScript().add(SendInvoked, "q", 1).add(SendRefused, "q", 1).consumed("q", 1), "unexpected: 1"},
		"again in a later life": {newScript().sent("q", 1).consumed("q", 1).
			add(Received, "q", 1, inLife(2)), "delivered again after the receipt for its acknowledgement: 1"},
		"again in the same life": {newScript().sent("q", 1).consumed("q", 1).
			add(Received, "q", 1, conn(2), redelivered), "delivered again after the receipt for its acknowledgement: 1"},
		"again after a committed acknowledgement": {newScript().sent("q", 1).add(Received, "q", 1).
			add(AckInvoked, "q", 1, in("x")).add(CommitInvoked, "", 0, in("x")).add(CommitConfirmed, "", 0, in("x")).
			add(Received, "q", 1, inLife(2)), "delivered again after the receipt for its acknowledgement: 1"},
		"reordered":       {newScript().sent("q", 1, 2).consumed("q", 2, 1), "out of order: 1"},
		"order by sender": {newScript().sent("q", 1, 2, 3).consumed("q", 1, 3, 2), "out of order: 1"},
		"reordered over connections of a single consumer": {newScript().sent("single", 1, 2).consumed("single", 2).
			add(Received, "single", 1, conn(2), inLife(2)).add(AckInvoked, "single", 1, inLife(2)), "out of order: 1"},
		"half a transaction": {newScript().
			add(SendInvoked, "q", 1, in("x"), sentIn("x")).add(SendInvoked, "q", 2, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")).
			add(Received, "q", 1, sentIn("x")).add(AckInvoked, "q", 1, sentIn("x")), "partial transaction: 1"},
		"aborted and there": {newScript().
			add(SendInvoked, "q", 1, in("x"), sentIn("x")).add(Aborted, "", 0, in("x")).
			add(Received, "q", 1, sentIn("x")).add(AckInvoked, "q", 1, sentIn("x")), "partial transaction: 1"},
		"consumed by two transactions": {newScript().sent("q", 1).
			add(Received, "q", 1).add(AckInvoked, "q", 1, in("x")).add(SendInvoked, "r", 1, in("x"), sentIn("x")).add(CommitInvoked, "", 0, in("x")).
			add(Received, "q", 1, inLife(2)).add(AckInvoked, "q", 1, in("y")).add(SendInvoked, "r", 1, in("y"), sentIn("y")).add(CommitInvoked, "", 0, in("y")).
			add(Received, "r", 1, sentIn("x")).add(AckInvoked, "r", 1, sentIn("x")).
			add(Received, "r", 1, sentIn("y"), conn(2)).add(AckInvoked, "r", 1, sentIn("y")), "partial transaction: 1"},
		"not marked": {newScript().sent("q", 1).add(Received, "q", 1).
			add(Received, "q", 1, conn(2)).add(AckInvoked, "q", 1), "delivered again without a mark: 1"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(test.s.h.Events(), testRules).Err()
			if err == nil {
				t.Fatal("it was accepted")
			}
			if text := err.Error(); !strings.HasPrefix(text, test.want+",") || strings.Count(text, ", such as") != 1 {
				t.Errorf("want exactly %q, got %s", test.want, text)
			}
		})
	}
}

func TestTheVerdictCounts(t *testing.T) {
	s := newScript().sent("q", 1, 2).consumed("q", 1, 2).
		add(SendInvoked, "q", 3).consumed("q", 3).
		add(SendInvoked, "q", 4).add(SendRefused, "q", 4).
		sent("q", 5).add(Received, "q", 5).add(Received, "q", 5, redelivered).add(AckInvoked, "q", 5)
	got := Check(s.h.Events(), Rules{}).String()
	const want = "5 sends, 3 confirmed, 1 refused, 1 recovered; 5 deliveries, 1 duplicates; 3 acknowledgements and 0 transactions confirmed"
	if got != want {
		t.Errorf("got %s", got)
	}
}

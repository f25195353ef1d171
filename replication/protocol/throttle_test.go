package protocol

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/election"
)

func TestAFollowerThatCatchesUpIsThrottledAndOneThatIsInSyncIsNot(t *testing.T) {
	n := New(Options{Node: "a", CatchUp: 1000}, Hard{Inc: 1}, nil, nil, 0, 0)
	b := election.Member{Node: "b", Inc: 1}
	p := &progress{member: b, throttle: throttle{spare: 250}}
	n.written = log.Position{Index: 100}
	if !n.mayHave(p) {
		t.Error("it may not have the first bytes")
	}
	p.throttle.spare -= 500
	if n.mayHave(p) || !p.throttle.closed {
		t.Error("it may have more than its share")
	}
	n.state.Config.InSync = []election.Member{b}
	if !n.mayHave(p) {
		t.Error("a member of the in-sync set is throttled")
	}
	n.state.Config.InSync = nil
	n.now = 300 * time.Millisecond
	n.refill("b", p)
	if p.throttle.spare != 50 || !n.mayHave(p) {
		t.Errorf("after 300 ms at 1,000 bytes a second %d of -250 are left", p.throttle.spare)
	}
	n.now = time.Minute
	n.refill("b", p)
	if p.throttle.spare != 250 {
		t.Errorf("after a minute %d bytes have gathered", p.throttle.spare)
	}
}

func TestAFollowerThatDoesNotGainGetsMore(t *testing.T) {
	n := New(Options{Node: "a", CatchUp: 1000}, Hard{Inc: 1}, nil, nil, 0, 0)
	p := &progress{member: election.Member{Node: "b", Inc: 1}} // probing: nothing is sent
	for second, step := range []struct {
		written uint64
		rate    int
	}{{10_000, 1000}, {10_100, 2000}, {10_200, 4000}, {9_000, 4000}, {8_990, 8000}} {
		n.now = time.Duration(second+1) * time.Second
		n.written.Index = step.written
		p.throttle.closed = second > 0
		n.refill("b", p)
		if p.throttle.rate != step.rate {
			t.Errorf("second %d: %d bytes a second, want %d", second, p.throttle.rate, step.rate)
		}
	}
}

package simtest

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// What an earlier epoch left may be on a quorum and still be lost: a node with a later epoch, and nothing else, can win
// the next election. A frame of one's own epoch has to be on the quorum too.
func TestAMasterDoesNotCommitWhatEarlierEpochsLeft(t *testing.T) {
	script := func(w *world) {
		var first, second *node
		w.elected = func(n *node) {
			switch {
			case first == nil:
				first = n
				w.after(time.Second, func() {
					w.silence(n, true) // it goes on writing, and nobody has that
					w.after(300*time.Millisecond, func() { w.stop(n, 6*time.Second) })
				})
			case second == nil && n != first:
				second = n
				w.silence(n, true) // its barrier stays on its own disk
				w.after(20*time.Millisecond, func() {
					w.stop(n, 12*time.Second)
					w.silence(first, false)
				})
			}
		}
		w.reached = func(n *node) {
			if second != nil && n == first && n.leads {
				w.reached = nil
				w.after(0, func() {
					w.stop(n, 15*time.Second) // as soon as it has committed something again
					w.silence(second, false)
				})
			}
		}
	}
	scenario(t, without(protocol.CommitOwnEpoch), script)
}

// A new master doesn't know everything that the one before committed, but all of that lies before its barrier. A change of the
// in-sync set that covers only what is known to be committed may leave it to a node that lacks some of it.
func TestAChangeOfTheInSyncSetCoversTheBarrier(t *testing.T) {
	script := func(w *world) {
		var first, second, third *node
		w.elected = func(n *node) {
			switch {
			case first == nil:
				first = n
				second, third = w.nodes[(n.i+1)%3], w.nodes[(n.i+2)%3]
				w.after(time.Second, func() {
					// The third has heard everything so far; the second gets a little more.
					w.god.cut[[2]int{first.i, third.i}] = true
					w.reached = func(n *node) {
						if n == first && n.log.Last().Index > third.log.Last().Index && second.repl.Commit() <= third.log.Last().Index {
							w.reached = nil
							w.after(0, func() { w.stop(first, 20*time.Second) })
						}
					}
				})
			case n == second:
				// What the third lacks doesn't come through; that the second is there does.
				w.lose = func(m *protocol.Message) bool { return len(m.Raw) > 0 && m.From.Node == second.name }
				w.after(7*time.Second, func() {
					w.stop(second, 20*time.Second)
					w.lose = nil
				})
			}
		}
	}
	scenario(t, without(protocol.CoverBarrier), script)
}

// A master that doesn't know yet that it is one no more must not be able to write a configuration: the next election would be
// decided by a set that lacks what was committed since.
func TestAMasterOfThePastDoesNotChangeTheConfiguration(t *testing.T) {
	script := func(w *world) {
		var first, second *node
		w.elected = func(n *node) {
			switch {
			case first == nil:
				first = n
				w.after(time.Second, func() {
					w.endLease(first)
					w.lose = func(m *protocol.Message) bool { return m.To == first.name }
				})
			case second == nil && n != first:
				second = n
				w.after(500*time.Millisecond, func() {
					first.cutOff = false
					first.at(first.life, func() {
						if err := first.repl.RemoveNode(first.clock(), second.name); err == nil {
							w.note("%s removes %s", first.name, second.name)
						}
					})
					w.after(100*time.Millisecond, func() { w.stop(second, 15*time.Second) })
				})
			}
		}
	}
	scenario(t, func(o *Options) { o.Unguarded = true }, script)
}

func without(rule protocol.Rule) func(*Options) { return func(o *Options) { o.Without = rule } }

// scenario runs a script with and without a rule: it must hold with it and be noticed without.
func scenario(t *testing.T, spoil func(*Options), script func(*world)) {
	t.Helper()
	caught := 0
	for s := uint64(1); s <= 12 && (caught == 0 || !raced); s++ {
		o := Options{Seed: s, script: script}
		if _, err := Run(o); err != nil {
			t.Fatal(err)
		}
		spoil(&o)
		if _, err := Run(o); err != nil {
			caught++
		}
	}
	if caught == 0 {
		t.Error("nothing noticed that the rule was broken")
	}
	t.Logf("noticed in %d of 12 runs", caught)
}

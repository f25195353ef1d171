package main

import (
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication"
)

func TestOnlyANodeOfGreaterWeightThatHasEverythingIsPreferred(t *testing.T) {
	a, b, c := election.Member{Node: "a", Inc: 1}, election.Member{Node: "b", Inc: 1}, election.Member{Node: "c", Inc: 3}
	status := func(change func(*replication.Status)) replication.Status {
		s := replication.Status{
			Node: a, Commit: 50_000,
			Followers: []replication.Follower{
				{Member: b, InSync: true, Durable: 50_000}, {Member: c, InSync: true, Durable: 49_990, Silent: 100 * time.Millisecond},
			},
		}
		s.State.Hints = []election.Hint{{Node: "a", Inc: 1, Weight: 1}, {Node: "b", Inc: 1, Weight: 2}, {Node: "c", Inc: 3, Weight: 3}}
		change(&s)
		return s
	}
	for want, changes := range map[string][]func(*replication.Status){
		"c": {func(*replication.Status) {}},
		"b": {
			func(s *replication.Status) { s.Followers[1].InSync = false },
			func(s *replication.Status) { s.Followers[1].Silent = time.Minute },
			func(s *replication.Status) { s.Followers[1].Durable = 100 },
			func(s *replication.Status) { s.State.Hints[2].Inc = 2 }, // of its life before
			func(s *replication.Status) { s.State.Hints[2].Weight = 2 },
		},
		"": {
			func(s *replication.Status) { s.State.Hints[0].Weight = 3 },
			func(s *replication.Status) { s.State.Hints = s.State.Hints[:1] },
			func(s *replication.Status) { s.Followers = nil },
		},
	} {
		for i, change := range changes {
			if got := preferred(status(change)); got != want {
				t.Errorf("change %d: %q is preferred instead of %q", i, got, want)
			}
		}
	}
}

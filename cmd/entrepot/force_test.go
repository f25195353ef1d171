package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/election"
)

func TestOnlyTheBestOfTooFewNodesCanBeForced(t *testing.T) {
	me := election.Member{Node: "c", Inc: 2}
	state := func(change func(*election.State)) *election.State {
		s := &election.State{
			Config: election.Configuration{
				GroupID: "g", Format: 1, Version: 7, Epoch: 4, Master: "a", Quorum: 2, Voters: []string{"a", "b", "c"}, Learners: []string{"d"},
				InSync: []election.Member{{Node: "a", Inc: 1}, {Node: "b", Inc: 1}, me},
			},
			Hints: []election.Hint{{Node: "c", Inc: 2, Epoch: 4, Index: 100}, {Node: "d", Inc: 1, Epoch: 4, Index: 90}},
		}
		change(s)
		return s
	}
	got, err := forced(state(func(*election.State) {}), me)
	if err != nil {
		t.Fatal(err)
	}
	want := election.Configuration{
		GroupID: "g", Format: 1, Version: 8, Epoch: 5, Master: "a", Quorum: 1, Voters: []string{"c"}, Learners: []string{"a", "b", "d"},
		InSync: []election.Member{me}, Unclean: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for why, change := range map[string]func(*election.State){
		"there is a master: a": func(s *election.State) { s.Lock = &election.Lock{Node: "a"} },
		"2 of 3 nodes that were in sync are here": func(s *election.State) {
			s.Hints = append(s.Hints, election.Hint{Node: "b", Inc: 1})
		},
		"d has more (up to record 101 of epoch 4)": func(s *election.State) { s.Hints[1].Index = 101 },
		"d has more (up to record 3 of epoch 5)":   func(s *election.State) { s.Hints[1].Epoch, s.Hints[1].Index = 5, 3 },
		"has not reported how far it is":           func(s *election.State) { s.Hints = s.Hints[1:] },
	} {
		if _, err := forced(state(change), me); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("instead of %q: %v", why, err)
		}
	}
	lost := state(func(s *election.State) { s.Hints = append(s.Hints, election.Hint{Node: "b", Inc: 2}) })
	if _, err := forced(lost, me); err != nil {
		t.Error("a node that came back without its disk counts: ", err)
	}
}

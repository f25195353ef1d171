package simtest

import (
	"flag"
	"testing"
)

var (
	seed  = flag.Uint64("sim.seed", 0, "run this seed only, with its trace")
	seeds = flag.Int("sim.seeds", 20, "how many seeds")
	first = flag.Uint64("sim.first", 1, "the first of them")
)

func TestGroupsKeepTheirPromises(t *testing.T) {
	if *seed != 0 {
		r, err := Run(options(*seed))
		t.Logf("%+v", r)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var sum Result
	if raced {
		*seeds = min(*seeds, 4)
	}
	for s := range *seeds {
		r, err := Run(options(*first + uint64(s)))
		if err != nil {
			t.Fatal(err)
		}
		sum.Events += r.Events
		sum.Epochs += r.Epochs
		sum.Restarts += r.Restarts
		sum.Confirmed += r.Confirmed
		sum.Snapshots += r.Snapshots
		sum.Changes += r.Changes
	}
	t.Logf("%d seeds from %d on: %+v", *seeds, *first, sum)
}

// options makes a group of the kind that a seed stands for.
func options(seed uint64) Options {
	o := Options{Seed: seed}
	switch seed % 6 {
	case 0:
		o.Nodes = 5
	case 1:
		o.Spares = 2
	case 2:
		o.Memory = true
	case 3:
		o.Nodes = 2
	}
	return o
}

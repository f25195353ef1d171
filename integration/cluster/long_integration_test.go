//go:build integration

package cluster

import (
	"os"
	"strconv"
	"testing"
)

// many is how often the long runs repeat a fault: CLUSTER_FAULTS scales it in percent.
func many(t *testing.T, n int) int {
	t.Helper()
	percent := 100
	if text := os.Getenv("CLUSTER_FAULTS"); text != "" {
		var err error
		if percent, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return max(1, n*percent/100)
}

// newWorld is a rig with an application that uses stomp.py beside the load.
func newWorld(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	var all []string
	for _, n := range r.Nodes {
		all = append(all, n.Stomp)
	}
	r.application("py", all...)
	return r
}

func TestNothingConfirmedIsLostWhenTheMasterIsKilledFiftyTimes(t *testing.T) {
	r := newWorld(t)
	for range many(t, 50) {
		r.breakOnce("kill -9 of the broker")
	}
	r.finish()
}

func TestNothingConfirmedIsLostWhenTheMasterIsPausedTwentyTimes(t *testing.T) {
	r := newWorld(t)
	for range many(t, 20) {
		r.breakOnce("a pause longer than the lease")
	}
	r.finish()
}

func TestNothingConfirmedIsLostWhenNodesDieAndAllDie(t *testing.T) {
	r := newWorld(t)
	for range many(t, 10) {
		r.breakOnce("the death of the node")
		r.breakOnce("kill -9 of all")
	}
	r.finish()
}

func TestNothingConfirmedIsLostWhenLinksAreCutTwentyTimes(t *testing.T) {
	r := newWorld(t)
	for range many(t, 7) {
		r.breakOnce("a master that is not heard")
		r.breakOnce("a master that hears nobody")
		r.breakOnce("a master without the others")
	}
	r.finish()
}

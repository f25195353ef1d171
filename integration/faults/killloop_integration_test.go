//go:build integration

package faults

import (
	"flag"
	"testing"
)

var (
	kills = flag.Int("kills", 200, "how often the kill loop kills the broker")
	seed  = flag.Uint64("seed", 1, "of the kill loop and other loads")
)

func TestNothingAcknowledgedIsLostWhenTheBrokerIsKilledAgainAndAgain(t *testing.T) {
	report, err := KillLoop(t.Context(), KillOptions{
		Program: program, Dir: t.TempDir(), Kills: *kills, Seed: *seed, Logf: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if report.Recovered == 0 || report.Duplicates == 0 || report.Checkpoints < report.Kills/20 {
		t.Error("the kills did not hit what they should: sends without answer, deliveries without acknowledgement, checkpoints")
	}
}

package simtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Rules are left out in turn: the simulation must notice, or it is worth nothing as evidence that they hold. The seeds are
// where that was found first; when the simulation changes, others take their place, and a search finds them. (Three rules
// are so rarely decisive that script_test.go leads there.)
func TestTheSimulationNoticesEachRuleThatIsBroken(t *testing.T) {
	for rule, seed := range map[protocol.Rule]uint64{
		protocol.RefuseOldEpochs: 6, protocol.CompareEpochs: 60, protocol.CampaignInSync: 5, protocol.CountIncarnations: 17,
		protocol.JointChange: 37, protocol.AwaitQuorum: 1, protocol.FenceQuorum: 2, protocol.KeepPromises: 413,
	} {
		t.Run(strings.ReplaceAll(rule.String(), " ", "_"), func(t *testing.T) {
			mustFail(t, seed, func(o *Options) { o.Without = rule })
		})
	}
}

// mustFail searches for a run that fails, from a seed on.
func mustFail(t *testing.T, seed uint64, spoil func(*Options)) {
	t.Helper()
	for s := seed; s < seed+3000; s++ {
		o := options(s)
		spoil(&o)
		_, err := Run(o)
		if v, ok := errors.AsType[*ViolationError](err); ok {
			t.Logf("seed %d, %v: %s", s, v.At, v.What)
			return
		}
	}
	t.Fatal("nothing noticed")
}

func TestAFailingSeedFailsTheSameWayAgain(t *testing.T) {
	o := Options{Seed: 1, Without: protocol.AwaitQuorum}
	_, first := Run(o)
	_, second := Run(o)
	if first == nil || second == nil || first.Error() != second.Error() {
		t.Fatalf("failed with\n%v\nand then with\n%v", first, second)
	}
}

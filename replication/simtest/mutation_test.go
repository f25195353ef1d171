package simtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/replication/protocol"
)

// Each rule is left out in turn: the simulation must notice, or it is worth nothing as evidence that the rules hold.
func TestTheSimulationNoticesEachRuleThatIsBroken(t *testing.T) {
	for rule := protocol.RefuseOldEpochs; rule <= protocol.CoverBarrier; rule++ {
		t.Run(strings.ReplaceAll(rule.String(), " ", "_"), func(t *testing.T) {
			t.Parallel()
			mustFail(t, func(o *Options) { o.Without = rule })
		})
	}
	t.Run("guarded_configuration", func(t *testing.T) {
		t.Parallel()
		mustFail(t, func(o *Options) { o.Unguarded = true })
	})
}

func mustFail(t *testing.T, spoil func(*Options)) {
	t.Helper()
	for s := uint64(1); s <= 2000; s++ {
		o := options(s)
		spoil(&o)
		_, err := Run(o)
		var v *Violation
		if errors.As(err, &v) {
			t.Logf("seed %d, %v: %s", s, v.At, v.What)
			return
		}
	}
	t.Fatal("nothing noticed")
}

func TestAFailingSeedFailsTheSameWayAgain(t *testing.T) {
	o := Options{Without: protocol.AwaitQuorum}
	for o.Seed = 1; ; o.Seed++ {
		_, first := Run(o)
		if first == nil {
			continue
		}
		if _, second := Run(o); second == nil || first.Error() != second.Error() {
			t.Fatalf("seed %d failed with\n%v\nand then with\n%v", o.Seed, first, second)
		}
		return
	}
}

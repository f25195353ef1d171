package faults

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// Rig is a broker's directory, with lives of the broker one after the other
// and the history of their clients.
type Rig struct {
	Program  harness.Program
	Dir      string
	Settings []string
	Load     *Load
	Rng      *rand.Rand
	Starts   []time.Duration // how long each start took, to the banner

	lives int
}

// NewRig makes a rig. Everything random in it follows from the seed.
func NewRig(program harness.Program, dir string, seed uint64, settings ...string) *Rig {
	return &Rig{
		Program: program, Dir: dir, Settings: settings,
		Load: &Load{History: NewHistory()}, Rng: rand.New(rand.NewPCG(seed, 1)),
	}
}

// busyStore makes checkpoints and Badger's work so frequent that faults hit
// them.
func busyStore() []string {
	return []string{
		"store.checkpointInterval=200ms", "store.checkpointBytes=1MiB", "store.segmentSize=4MiB",
		"store.memory=16MiB", "log.level=warn",
	}
}

// options are those of a start.
func (r *Rig) options() harness.Options {
	return harness.Options{
		Program: r.Program, Dir: r.Dir, Listen: []string{"stomp://127.0.0.1:0"},
		Settings: append(busyStore(), r.Settings...),
	}
}

// start begins the next life.
func (r *Rig) start(ctx context.Context) (*harness.Broker, *life, error) {
	begin := time.Now()
	b, err := harness.Start(ctx, r.options())
	if err != nil {
		return nil, nil, err
	}
	r.lives++
	r.Starts = append(r.Starts, time.Since(begin))
	return b, &life{Load: r.Load, number: r.lives, addr: b.Addr("stomp")}, nil
}

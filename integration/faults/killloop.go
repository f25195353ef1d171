package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// KillOptions describe a kill loop.
type KillOptions struct {
	Program  harness.Program
	Dir      string // data directory, empty or new
	Kills    int
	Seed     uint64
	Settings []string             // additional settings of the broker
	Logf     func(string, ...any) // progress; nil for none
}

// KillReport is what a kill loop showed.
type KillReport struct {
	*Verdict
	Kills       int // of a broker that served
	StartKills  int // of a broker that was starting
	Checkpoints int // written in all lives that were asked
	Starts      []time.Duration
}

func (r *KillReport) String() string {
	var longest, total time.Duration
	for _, d := range r.Starts {
		longest = max(longest, d)
		total += d
	}
	return fmt.Sprintf("%d kills under load, %d while starting, %d checkpoints seen; start %v on average, %v at most; %v",
		r.Kills, r.StartKills, r.Checkpoints, (total / time.Duration(max(1, len(r.Starts)))).Round(time.Millisecond), longest.Round(time.Millisecond), r.Verdict)
}

// client is one of the load's.
type client interface {
	run(ctx context.Context, l *life, rng *rand.Rand) error
}

// killLoop is the state of one run.
type killLoop struct {
	*Rig
	report KillReport
	steady []client // in every life
	eager  []client // not in the lives in which a backlog grows
}

// KillLoop runs clients of every kind against a broker that it kills again and
// again, drains what is left, and checks the history. An error is a broken
// promise, or a run that could not be carried out.
func KillLoop(ctx context.Context, o KillOptions) (*KillReport, error) {
	if o.Logf == nil {
		o.Logf = func(string, ...any) {}
	}
	k := &killLoop{Rig: NewRig(o.Program, o.Dir, o.Seed, o.Settings...)}
	k.steady, k.eager = clients()
	if err := k.subscribeDurably(ctx); err != nil {
		return nil, err
	}
	for n := range o.Kills {
		if err := k.kill(ctx); err != nil {
			return nil, fmt.Errorf("seed %d, kill %d of %d: %w", o.Seed, n+1, o.Kills, err)
		}
		if n%20 == 19 {
			o.Logf("%d of %d kills, %d events", n+1, o.Kills, len(k.Load.History.Events()))
		}
	}
	if err := k.finish(ctx); err != nil {
		return nil, fmt.Errorf("seed %d, after %d kills: %w", o.Seed, o.Kills, err)
	}
	k.report.Starts = k.Starts
	k.report.Verdict = Check(k.Load.History.Events(), rules())
	if err := k.report.Err(); err != nil {
		return &k.report, fmt.Errorf("seed %d: %v\n%w", o.Seed, &k.report, err)
	}
	return &k.report, nil
}

// rules are those of the places of clients.
func rules() Rules {
	return Rules{
		Routes: map[string][]string{"topic:events": {"sub:a", "sub:b"}},
		Single: map[string]bool{"single": true, "pile": true, "sub:a": true, "sub:b": true, "moved": true},
	}
}

// drains returns a consumer for each place.
func drains() []*Consumer {
	return []*Consumer{
		{Place: "shared", Receipts: true},
		{Place: "single", Receipts: true},
		{Place: "pile", Receipts: true},
		{Place: "left", Receipts: true},
		{Place: "right", Receipts: true},
		{Place: "inbox", Receipts: true},
		{Place: "moved", Receipts: true},
		{Place: "sub:a", Topic: "events", Receipts: true},
		{Place: "sub:b", Topic: "events", Receipts: true},
	}
}

// clients make up the load: the steady ones run in every life, the eager ones
// not in the lives in which a backlog grows.
func clients() (steady, eager []client) {
	const gap = 25 * time.Millisecond
	steady = []client{
		&Producer{Name: "p1", Places: []string{"shared", "single", "pile"}, Window: 50, Pause: gap},
		&Producer{Name: "p2", Places: []string{"shared", "single", "topic:events"}, Window: 10, Pause: gap},
		&Producer{Name: "p3", Places: []string{"inbox", "topic:events"}, Window: 5, Pause: gap},
		&TxProducer{Name: "t1", Places: []string{"left", "right"}, Pause: gap},
		&Transfer{Name: "m1", From: "inbox", To: "moved"},
		&Consumer{Place: "shared", Drop: true, Receipts: true},
	}
	eager = []client{
		&Consumer{Place: "shared", Receipts: true},
		&Consumer{Place: "shared"},
		&Consumer{Place: "single", Receipts: true},
		&Consumer{Place: "pile", Receipts: true, Cumulative: true},
		&Consumer{Place: "left", Receipts: true},
		&Consumer{Place: "right"},
		&Consumer{Place: "moved", Receipts: true},
		&Consumer{Place: "sub:a", Topic: "events", Receipts: true},
		&Consumer{Place: "sub:b", Topic: "events"},
	}
	return steady, eager
}

// subscribeDurably makes the durable subscriptions in a first life, so that
// they get all that is sent later.
func (r *Rig) subscribeDurably(ctx context.Context) error {
	b, l, err := r.start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	for _, c := range drains() {
		if c.Topic == "" {
			continue
		}
		conn, err := c.subscribe(ctx, l)
		if err != nil {
			return fmt.Errorf("subscribe %s: %w", c.Place, err)
		}
		conn.end()
	}
	return nil
}

// kill is one life of the broker, from its start to SIGKILL.
func (k *killLoop) kill(ctx context.Context) error {
	if k.Rng.IntN(5) == 0 {
		if err := k.killStarting(ctx); err != nil {
			return err
		}
	}
	b, l, err := k.start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	clients := k.steady
	if k.Rng.IntN(3) > 0 {
		clients = append(append([]client{}, clients...), k.eager...)
	}
	stop := startClients(ctx, l, clients, k.Rng)
	err = serving(ctx, b, time.Duration(100+k.Rng.IntN(900))*time.Millisecond)
	if k.lives%10 == 0 {
		err = errors.Join(err, k.look(ctx, b))
	}
	k.report.Kills++
	killErr := b.Kill()
	return errors.Join(err, killErr, stop(), complaints(b))
}

// look counts the checkpoints that the broker wrote in this life.
func (k *killLoop) look(ctx context.Context, b *harness.Broker) error {
	m, err := b.Metrics(ctx)
	k.report.Checkpoints += int(m["entrepot_store_checkpoints_total"])
	return err
}

// killStarting kills a broker that reads its store.
func (k *killLoop) killStarting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(k.Rng.IntN(60))*time.Millisecond)
	defer cancel()
	b, err := harness.Start(ctx, k.options())
	k.report.StartKills++
	if err == nil {
		return b.Kill()
	}
	if ctx.Err() == nil {
		return err // it ended by itself
	}
	return nil
}

//go:build integration

package mqtt

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var kills = flag.Int("kills", 40, "how often the broker is killed")

// TestSessionsSurviveKillsWithoutLossAndQoS2WithoutDuplicates kills the broker
// under clients that keep their sessions.
func TestSessionsSurviveKillsWithoutLossAndQoS2WithoutDuplicates(t *testing.T) {
	l := NewLedger()
	sub := l.Subscriber("subscriber", "kill/#")
	dir := t.TempDir()
	b := startBroker(t, dir)
	// The session exists before anything is published.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	sub.Subscribed = cancel
	if err := sub.Run(ctx, b.Addr("mqtt")); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != context.Canceled {
		t.Fatal("no SUBACK came in time")
	}
	sub.Subscribed = nil
	clients := []*Client{sub, l.Publisher("kill", "one", 1), l.Publisher("kill", "two", 2), l.Publisher("kill", "three", 2)}
	rng := rand.New(rand.NewPCG(1, 2))
	live := func(ctx context.Context, b *harness.Broker) {
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() {
				if err := c.Run(ctx, b.Addr("mqtt")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	for range *kills {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond+time.Duration(rng.Int64N(int64(400*time.Millisecond))), func() {
			if err := b.Kill(); err != nil {
				t.Error(err)
			}
			cancel()
		})
		live(ctx, b)
		<-ctx.Done()
		<-b.Exited()
		b = startBroker(t, dir)
	}
	l.Stop()
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		if err := harness.Until(ctx, 2*time.Minute, "everything arrives", l.Settled); err != nil {
			t.Error(err)
		}
	}()
	live(ctx, b)
	v := l.Verdict()
	t.Logf("%d kills: %s", *kills, v)
	if err := v.Err(); err != nil {
		t.Error(err)
	}
}

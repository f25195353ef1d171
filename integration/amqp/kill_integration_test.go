//go:build integration

package amqp

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

const kills = 50

// What clients with unsettled deliveries and open transactions were promised
// holds when the broker is killed again and again.
func TestKilledBrokerLosesNothingAndCommitsAllOrNothing(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	a, dir := NewAccount(), t.TempDir()
	start := func() *harness.Broker {
		b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: dir, Listen: []string{"amqp://127.0.0.1:0"}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for round := range kills {
		b := start()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		address := b.Addr("amqp")
		var clients sync.WaitGroup
		for range 2 {
			clients.Go(func() { a.Produce(ctx, address) })
			clients.Go(func() { a.Consume(ctx, address) })
		}
		clients.Go(func() {
			if err := a.Transact(ctx, python, filepath.Join("py", "transact.py"), address); err != nil {
				t.Error(err)
			}
		})
		confirmed, settled, committed := a.Progress()
		err := harness.Until(ctx, time.Minute, "all kinds of clients get on", func() bool {
			c, s, tx := a.Progress()
			return c >= confirmed+20+round && s >= settled+10+round && tx > committed+round%5
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		clients.Wait()
		cancel()
	}
	b := start()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := a.Finish(ctx, b.Addr("amqp")); err != nil {
		t.Fatal(err)
	}
	sum, err := a.Verdict()
	t.Logf("%d kills: %s", kills, sum)
	if err != nil {
		t.Error(err)
	}
}

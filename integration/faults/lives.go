package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// startClients runs clients until the function that it returns is called; that
// waits for their end and returns what went wrong, beyond what the end of a
// broker does to its clients.
func startClients(ctx context.Context, l *life, clients []client, rng *rand.Rand) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(i)))
		wg.Go(func() { errs[i] = c.run(ctx, l, own) })
	}
	return func() error {
		cancel()
		wg.Wait()
		return errors.Join(errs...)
	}
}

// serving lets a broker serve for some time; it is an error if it ends.
func serving(ctx context.Context, b *harness.Broker, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-b.Exited():
		return fmt.Errorf("the broker ended by itself:\n%s", b.Log())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complaints returns what a broker should never have to log.
func complaints(b *harness.Broker) error {
	log := b.Log()
	for _, sign := range []string{"panic", "fatal error", `"level":"ERROR"`} {
		if strings.Contains(log, sign) {
			return fmt.Errorf("the broker logged %q:\n%s", sign, log)
		}
	}
	return nil
}

// drainAll consumes what waits at all places, until nothing more comes for
// that long, and expects the broker to know that nothing is left.
func drainAll(ctx context.Context, b *harness.Broker, l *life, consumers []*Consumer, quiet time.Duration) error {
	var wg sync.WaitGroup
	errs := make([]error, len(consumers))
	for i, c := range consumers {
		wg.Go(func() { errs[i] = c.drain(ctx, l, quiet) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	m, err := b.Metrics(ctx)
	if err != nil {
		return err
	}
	if left, inflight := m["entrepot_queue_messages"], m["entrepot_queue_messages_inflight"]; left != 0 || inflight != 0 {
		return fmt.Errorf("after everything was drained the broker counts %v messages, %v of them in flight", left, inflight)
	}
	return nil
}

// finish drains all places in a last life, ends the broker well, reads its
// store offline, and leaves the history to be checked.
func (r *Rig) finish(ctx context.Context) error {
	b, l, err := r.start(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := drainAll(ctx, b, l, drains(), 2*time.Second); err != nil {
		return err
	}
	if err := errors.Join(complaints(b), b.Stop(patience)); err != nil {
		return err
	}
	if out, err := r.Program.Store(ctx, "check", r.Dir); err != nil {
		return fmt.Errorf("store check: %w\n%s", err, out)
	}
	return nil
}

//go:build integration

package mqtt

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var kills = flag.Int("kills", 40, "how often the broker is killed")

// ledger counts what publishers had confirmed and what the subscriber got.
type ledger struct {
	mu        sync.Mutex
	confirmed map[string]struct{}
	sent      map[string]struct{}
	got       map[string]int
	stop      bool
}

func (l *ledger) publisher(name string, qos byte) *Client {
	count := 0
	return &Client{
		ID: name, Window: 20, Received: func(string, string, byte) {},
		Publish: func() *Message {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.stop {
				return nil
			}
			count++
			m := &Message{Topic: fmt.Sprintf("kill/%d/%s", qos, name), Body: fmt.Sprintf("%s %d", name, count), QoS: qos}
			l.sent[m.Body] = struct{}{}
			return m
		},
		Confirmed: func(m *Message) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.confirmed[m.Body] = struct{}{}
		},
	}
}

func (l *ledger) missing() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for body := range l.confirmed {
		if l.got[body] == 0 {
			n++
		}
	}
	return n
}

// TestSessionsSurviveKillsWithoutLossAndQoS2WithoutDuplicates kills the broker
// under clients that keep their sessions.
func TestSessionsSurviveKillsWithoutLossAndQoS2WithoutDuplicates(t *testing.T) {
	l := &ledger{confirmed: map[string]struct{}{}, sent: map[string]struct{}{}, got: map[string]int{}}
	sub := &Client{
		ID: "subscriber", Filter: "kill/#", Publish: func() *Message { return nil }, Confirmed: func(*Message) {},
		Received: func(_, body string, _ byte) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.got[body]++
		},
	}
	// The session exists before anything is published.
	dir := t.TempDir()
	b := startBroker(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	if err := sub.Run(ctx, b.Addr("mqtt")); err != nil {
		t.Fatal(err)
	}
	cancel()
	clients := []*Client{sub, l.publisher("one", 1), l.publisher("two", 2), l.publisher("three", 2)}
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
	l.mu.Lock()
	l.stop = true
	l.mu.Unlock()
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		err := harness.Until(ctx, time.Minute, "everything arrives", func() bool {
			l.mu.Lock()
			done := len(l.confirmed) == len(l.sent)
			l.mu.Unlock()
			return done && l.missing() == 0
		})
		if err != nil {
			t.Error(err)
		}
	}()
	live(ctx, b)
	lost, twice, again := 0, 0, 0
	for body := range l.confirmed {
		switch n := l.got[body]; {
		case n == 0:
			lost++
		case n > 1 && body[:3] == "one":
			again++
		case n > 1:
			twice++
		}
	}
	for body := range l.got {
		if _, ok := l.sent[body]; !ok {
			t.Errorf("%q came and was not sent", body)
		}
	}
	t.Logf("%d kills, %d messages confirmed; lost %d; of QoS 1 delivered again %d, of QoS 2 %d", *kills, len(l.confirmed), lost, again, twice)
	if lost > 0 || twice > 0 {
		t.Error("a promise is broken")
	}
}

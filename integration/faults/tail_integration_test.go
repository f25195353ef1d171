//go:build integration

package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// killed runs a load for a moment and kills the broker.
func killed(t *testing.T) *Rig {
	t.Helper()
	// The log alone holds what is lost here, if anything is.
	r := NewRig(program, t.TempDir(), *seed, "store.checkpointInterval=1h", "store.checkpointBytes=1GiB")
	if err := r.subscribeDurably(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, l, err := r.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	steady, eager := clients()
	stop := startClients(t.Context(), l, append(steady, eager...), r.Rng)
	err = errors.Join(serving(t.Context(), b, 500*time.Millisecond), b.Kill(), stop())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestATornTailOfTheLogIsCutAtStart(t *testing.T) {
	for name, tear := range map[string]func(t *testing.T, r *Rig, end tail) error{
		"garbage behind the last synced frame": func(_ *testing.T, r *Rig, end tail) error {
			return change(end.file, end.durable, 64<<10, func(part []byte) {
				for i := range part {
					part[i] = byte(r.Rng.Uint32())
				}
			})
		},
		"nothing behind the last synced frame": func(_ *testing.T, _ *Rig, end tail) error {
			return change(end.file, end.durable, int(end.size-end.durable), func(part []byte) { clear(part) })
		},
		"a file that ends there": func(_ *testing.T, _ *Rig, end tail) error { return os.Truncate(end.file, end.durable) },
		"half a frame": func(_ *testing.T, _ *Rig, end tail) error {
			const frame = 300 // the first bytes of a frame that was written before, behind it its end is missing
			var old []byte
			if err := change(end.file, segmentFramesAt, frame, func(part []byte) { old = append(old, part...) }); err != nil {
				return err
			}
			return change(end.file, end.durable, frame, func(part []byte) { copy(part, old) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := killed(t)
			end, err := findTail(r.Dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := tear(t, r, end); err != nil {
				t.Fatal(err)
			}
			if err := r.finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, r)
		})
	}
}

// TestDamageBelowTheDurableMarkIsRefusedWithAdvice: nothing is cut, nothing is
// started, and when the damage is undone nothing is missing.
func TestDamageBelowTheDurableMarkIsRefusedWithAdvice(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, r *Rig, end tail) (undo func() error){
		"a flipped bit": func(t *testing.T, r *Rig, end tail) func() error {
			at := segmentFramesAt + r.Rng.Int64N(end.durable-segmentFramesAt)
			bit := byte(1) << r.Rng.IntN(8)
			flip := func() error { return change(end.file, at, 1, func(part []byte) { part[0] ^= bit }) }
			if err := flip(); err != nil {
				t.Fatal(err)
			}
			return flip
		},
		"a missing file": func(t *testing.T, _ *Rig, end tail) func() error {
			aside := filepath.Join(t.TempDir(), "aside")
			if err := os.Rename(end.file, aside); err != nil {
				t.Fatal(err)
			}
			return func() error { return os.Rename(aside, end.file) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := killed(t)
			end, err := findTail(r.Dir)
			if err != nil {
				t.Fatal(err)
			}
			undo := damage(t, r, end)
			for range 2 { // a second try must not find that the first one repaired anything
				refuses(t, r)
			}
			if out, err := program.Store(t.Context(), "check", r.Dir); err == nil {
				t.Errorf("store check finds nothing:\n%s", out)
			}
			if err := undo(); err != nil {
				t.Fatal(err)
			}
			if err := r.finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, r)
		})
	}
}

func refuses(t *testing.T, r *Rig) {
	t.Helper()
	b, _, err := r.start(t.Context())
	if err == nil {
		b.Close()
		t.Fatal("the broker started on a damaged log")
	}
	refusal, ok := errors.AsType[*harness.StartError](err)
	if !ok || refusal.ExitCode <= 0 {
		t.Fatalf("it did not end by itself: %v", err)
	}
	for _, word := range []string{"damage", "backup"} {
		if !strings.Contains(refusal.Log, word) {
			t.Errorf("the refusal doesn't speak of %q:\n%s", word, refusal.Log)
		}
	}
}

// TestASecondBrokerIsKeptFromTheDirectory while the first one serves on.
func TestASecondBrokerIsKeptFromTheDirectory(t *testing.T) {
	r := NewRig(program, t.TempDir(), *seed)
	b, l, err := r.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	second, _, err := r.start(t.Context())
	if err == nil {
		second.Close()
		t.Fatal("a second broker started")
	}
	if refusal, ok := errors.AsType[*harness.StartError](err); !ok || refusal.ExitCode <= 0 || !strings.Contains(refusal.Log, "another") {
		t.Errorf("the refusal is %v", err)
	}
	p := &Producer{Name: "p", Places: []string{"shared"}, Window: 5, Limit: 20}
	if err := p.run(t.Context(), l, r.Rng); err != nil {
		t.Error(err)
	}
	if err := drainAll(t.Context(), b, l, drains()[:1], time.Second); err != nil {
		t.Error(err)
	}
	if v := check(t, r); v.Confirmed != 20 {
		t.Errorf("%d of 20 sends were confirmed", v.Confirmed)
	}
}

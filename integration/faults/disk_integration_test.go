//go:build integration

package faults

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// failing lets system calls of a running broker fail from now on.
func failing(t *testing.T, b *harness.Broker, calls, errno string) {
	t.Helper()
	strace, err := harness.Tool(t.Context(), "strace", "strace")
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-q", "-o", trace, "-e", "trace="+calls,
		"-e", "inject="+calls+":error="+errno, "-p", strconv.Itoa(b.Pid()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close() // the tracer ends with what it traces
		_ = cmd.Wait()
	})
	injected := func() bool {
		text, _ := os.ReadFile(trace)
		return strings.Contains(string(text), "(INJECTED)")
	}
	if err := harness.Until(t.Context(), patience, "a call of "+calls+" to fail", injected); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, r *Rig) *Verdict {
	t.Helper()
	v := Check(r.Load.History.Events(), rules())
	if err := v.Err(); err != nil {
		t.Errorf("%v\n%v", v, err)
	}
	t.Log(v)
	return v
}

// TestAnErrorOfTheDiskEndsTheBrokerAndNothingConfirmedIsLost: a sync that
// failed is never tried again, since nobody knows what it left behind.
func TestAnErrorOfTheDiskEndsTheBrokerAndNothingConfirmedIsLost(t *testing.T) {
	for _, calls := range []string{"fdatasync", "pwrite64"} {
		t.Run(calls, func(t *testing.T) {
			r := NewRig(program, t.TempDir(), *seed)
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
			if err := serving(t.Context(), b, 300*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			failing(t, b, calls, "EIO")
			broken := time.Now()
			failed := len(r.Load.History.Events())
			code, err := b.Wait(patience)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(broken); took > 10*time.Second {
				t.Errorf("it ended after %v", took)
			}
			if code != 75 || !strings.Contains(b.Log(), "input/output error") {
				t.Errorf("it ended with %d and logged:\n%s", code, b.Log())
			}
			if err := stop(); err != nil && !strings.Contains(err.Error(), "ERROR") {
				t.Error(err)
			}
			if err := r.finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			check(t, r)
			if late := confirmedAfter(r.Load.History.Events(), failed); calls == "fdatasync" && late > 0 {
				t.Errorf("%d sends were confirmed that began after a sync had failed", late)
			}
		})
	}
}

// confirmedAfter counts the sends of the first history's second life that
// began behind a position and were confirmed in that life.
func confirmedAfter(events []Event, position int) (n int) {
	begun := map[Value]bool{}
	for _, e := range events[position:] {
		switch e.Kind {
		case SendInvoked:
			begun[e.Value] = true
		case SendConfirmed:
			if begun[e.Value] && e.Life == events[position-1].Life {
				n++
			}
		}
	}
	return n
}

// TestBadgersSyncsMayFailWithoutLoss: checkpoints can't be written any more;
// whatever the broker makes of that, the log still has everything.
func TestBadgersSyncsMayFailWithoutLoss(t *testing.T) {
	r := NewRig(program, t.TempDir(), *seed)
	if err := r.subscribeDurably(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, l, err := r.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	steady, _ := clients()
	stop := startClients(t.Context(), l, steady, r.Rng)
	failing(t, b, "msync,fsync", "EIO")
	_ = serving(t.Context(), b, 2*time.Second) // it may end
	b.Close()
	if err := stop(); err != nil && !strings.Contains(err.Error(), "ERROR") {
		t.Error(err)
	}
	if err := r.finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, r)
}

// smallDisk mounts a file system of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small disk for the test, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestAFullDiskRefusesDurableSendsAndLetsConsumersDrain: after that it takes
// messages again, by itself; a kill in between changes nothing.
func TestAFullDiskRefusesDurableSendsAndLetsConsumersDrain(t *testing.T) {
	r := NewRig(program, filepath.Join(smallDisk(t, "400m"), "data"), *seed)
	b, l, err := r.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { b.Close() }()
	filler := &Producer{Name: "f", Places: []string{"full"}, Window: 20, Size: 16 << 10, Refusals: 100, Limit: 50_000}
	fill, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := filler.run(fill, l, r.Rng); err != nil {
		t.Fatal(err)
	}
	if filler.refused < 100 {
		t.Fatalf("%d sends were refused on a full disk", filler.refused)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if b, l, err = r.start(t.Context()); err != nil {
		t.Fatalf("start on a full disk: %v", err)
	}
	drain := []*Consumer{{Place: "full", Receipts: true}}
	if err := drainAll(t.Context(), b, l, drain, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	again := func() bool {
		p := &Producer{Name: "g" + strconv.Itoa(len(r.Load.History.Events())), Places: []string{"full"}, Window: 20, Limit: 100, Size: 1000}
		err := p.run(t.Context(), l, r.Rng)
		return err == nil && p.refused == 0
	}
	if err := harness.Until(t.Context(), patience, "sends to be taken again", again); err != nil {
		t.Fatalf("%v\n%s", err, b.Log())
	}
	if err := drainAll(t.Context(), b, l, drain, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(patience); err != nil {
		t.Error(err)
	}
	if out, err := program.Store(context.Background(), "check", r.Dir); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if v := check(t, r); v.Refused == 0 || v.Confirmed < 100 {
		t.Error("the disk was not filled, or not used again")
	}
}

package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/store/pages"
)

const holdDirVar = "ENTREPOT_TEST_STORE_HOLD"

// holdStore is the child: it opens the store and holds it until its standard
// input ends.
func holdStore(dir string) int {
	s, err := Open(Options{Dir: dir}, newLedger())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	if err := s.Close(context.Background()); err != nil {
		return 1
	}
	return 0
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdDirVar+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	_, err = Open(Options{Dir: dir}, newLedger())
	if !errors.Is(err, pages.ErrLocked) {
		t.Errorf("error is %v, want ErrLocked", err)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Options{Dir: dir}, newLedger())
	if err != nil {
		t.Fatalf("after the first process has ended: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

const killDirVar = "ENTREPOT_TEST_STORE_KILL"

// commitUntilKilled is the child: it goes on from where the store is, with
// checkpoints all the time, and says on standard output what is safe.
func commitUntilKilled(dir string) int {
	m := newLedger()
	s, err := Open(killOptions(dir), m)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	s.Start()
	done := make(printer, 1)
	for n := m.count + 1; ; n++ {
		s.Commit(publish(n, 2000, Synced, done))
		if err := <-done; err != nil {
			fmt.Println(err)
			return 1
		}
	}
}

// printer prints what completed.
type printer chan error

func (p printer) Complete(token uint64, err error) {
	fmt.Println(token)
	p <- err
}

func killOptions(dir string) Options {
	o := Options{Dir: dir, CheckpointBytes: 40_000}
	o.pagesOptions = func(po *pages.Options) { po.MemTable, po.BaseTable = 8, 2 }
	smallSegments(&o)
	return o
}

func TestKillNineLosesNothingThatWasCompleted(t *testing.T) {
	dir := t.TempDir()
	var safe uint64
	cut, checkpoints := 0, uint64(0)
	for round := range 12 {
		safe = max(safe, commitAndKill(t, dir, time.Duration(20+round*37%120)*time.Millisecond))
		p, err := pages.Open(pages.Options{Dir: filepath.Join(dir, "pages"), MemTable: 8, BaseTable: 2})
		if err != nil {
			t.Fatal(err)
		}
		if p.Intent() != 0 {
			cut++
		}
		checkpoints = p.Mark().Index
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		m := newLedger()
		s, err := Open(killOptions(dir), m)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if m.count != safe && m.count != safe+1 {
			t.Fatalf("round %d: %d changes are there, %d were completed", round, m.count, safe)
		}
		(&rig{t: t, Store: s, ledger: m}).wantState(upTo(m.count))
		safe = m.count
		gone, cancel := context.WithCancel(t.Context())
		if round%2 == 0 {
			cancel()
		}
		if err := s.Close(gone); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	t.Logf("%d changes, %d kills cut a checkpoint, the last one is at %d", safe, cut, checkpoints)
	if safe < 100 || checkpoints == 0 {
		t.Error("the kills prove little")
	}
}

// commitAndKill kills the child some time after its first completion, and
// returns its last one.
func commitAndKill(t *testing.T, dir string, after time.Duration) (safe uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDirVar+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscan(lines.Text(), &safe); err != nil {
			t.Errorf("child: %q", lines.Text())
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || timer == nil {
		t.Fatalf("child: %v", err)
	}
	return safe
}

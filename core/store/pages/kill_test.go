package pages

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const killDirVar = "ENTREPOT_TEST_PAGES_KILL"

// killChanges is what checkpoint i does: a function of i, as a checkpoint is of the log. A few MiB, so
// that memory tables turn over and tables are merged while the process dies.
func killChanges(i uint64) []change {
	r := rand.New(rand.NewPCG(i, 1))
	var cs []change
	for n := range 20 + r.IntN(60) {
		c := change{key: fmt.Sprintf("\x04%03d", r.IntN(200))}
		if r.IntN(4) > 0 {
			c.value = blob(i<<16+uint64(n), r.IntN(100<<10))
		}
		cs = append(cs, c)
	}
	return append(cs, change{"\x02count", fmt.Append(nil, i)})
}

// writeUntilKilled is the child: it completes the checkpoint that its predecessor left, goes on with
// the next ones, and says on stdout what is completed.
func writeUntilKilled(dir string) int {
	s, err := Open(smallOptions(dir))
	for err == nil {
		i := s.Mark().Index + 1
		if left := s.Intent(); left != 0 && left != i {
			err = fmt.Errorf("intent %d after mark %d", left, i-1)
			break
		}
		if err = slowCheckpoint(s, i); err == nil {
			_, err = fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// slowCheckpoint makes what it writes after it has begun, so that most kills come in the middle.
func slowCheckpoint(s Store, i uint64) error {
	w, err := s.Begin(mark(i))
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := write(w, killChanges(i)); err != nil {
		return err
	}
	return w.Commit()
}

func TestKillNineInTheMiddleOfCheckpointsLeavesTheLastCompletedOne(t *testing.T) {
	const rounds = 20
	dir := t.TempDir()
	want, at := map[string][]byte{}, uint64(0)
	cut := 0
	for round := range rounds {
		reported := runAndKill(t, dir, time.Duration(30+round*13%170)*time.Millisecond)
		s, err := Open(smallOptions(dir))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		m := s.Mark()
		if reported != 0 && m.Index != reported && m.Index != reported+1 || m.Index < at {
			t.Fatalf("round %d: mark %d, the child reported %d, earlier it was %d", round, m.Index, reported, at)
		}
		for ; at < m.Index; at++ {
			apply(want, killChanges(at+1))
		}
		if at == 0 {
			m = Mark{}
		}
		if err := same(s, m, want); err != nil {
			t.Fatalf("round %d, mark %d: %v", round, m.Index, err)
		}
		switch left := s.Intent(); left {
		case 0:
		case m.Index + 1:
			cut++
		default:
			t.Fatalf("round %d: intent %d after mark %d", round, left, m.Index)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d checkpoints completed, %d of %d kills cut one", at, cut, rounds)
	if at < rounds || cut < rounds/4 {
		t.Errorf("the kills prove little")
	}
}

// runAndKill kills the child some time after it has completed its first checkpoint, and returns the last
// that it reported. Its second child of a pair opens what the first left without a clean close between.
func runAndKill(t *testing.T, dir string, after time.Duration) (reported uint64) {
	t.Helper()
	for range 2 {
		reported = killOnce(t, dir, after)
	}
	return reported
}

func killOnce(t *testing.T, dir string, after time.Duration) (reported uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killDirVar+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &reported); err != nil {
			t.Fatalf("child: %q", lines.Text())
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 || timer == nil {
		t.Fatalf("child: %v, %s", err, stderr.String())
	}
	return reported
}

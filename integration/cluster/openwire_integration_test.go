//go:build integration

package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// javaLoad is the program GroupLoad with ActiveMQ's Java client.
type javaLoad struct {
	in   io.WriteCloser
	cmd  *exec.Cmd
	done chan struct{} // closed at the end of its output

	mu         sync.Mutex
	progress   [6]int   // of producers and consumers: single messages, transactions, XA
	verdicts   []string // what it says at its end
	complaints strings.Builder
}

// startJava starts it with a URL as ActiveMQ's documentation has it.
func (r *rig) startJava(ctx context.Context) *javaLoad {
	r.t.Helper()
	sources := filepath.Join("..", "openwire", "java")
	java, classPath, err := harness.Java(ctx, filepath.Join(sources, "pom5.xml"), filepath.Join(sources, "src"), r.t.TempDir())
	r.ok(err)
	var nodes []string
	for _, n := range r.Nodes {
		nodes = append(nodes, "tcp://"+n.OpenWire)
	}
	l := &javaLoad{done: make(chan struct{})}
	l.cmd = exec.CommandContext(ctx, java, "-cp", classPath, "GroupLoad", "failover:("+strings.Join(nodes, ",")+")?randomize=false")
	l.cmd.Stderr = &l.complaints
	l.in, err = l.cmd.StdinPipe()
	r.ok(err)
	out, err := l.cmd.StdoutPipe()
	r.ok(err)
	r.ok(l.cmd.Start())
	go l.read(out)
	return l
}

func (l *javaLoad) read(out io.Reader) {
	defer close(l.done)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		l.mu.Lock()
		if verdict, ok := strings.CutPrefix(line, "verdict "); ok {
			l.verdicts = append(l.verdicts, verdict)
		} else {
			p := &l.progress
			_, _ = fmt.Sscanf(line, "progress %d %d %d %d %d %d", &p[0], &p[1], &p[2], &p[3], &p[4], &p[5])
		}
		l.mu.Unlock()
	}
}

func (l *javaLoad) now() [6]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress
}

// goesOn waits until each producer and each consumer has got on.
func (l *javaLoad) goesOn(r *rig) {
	r.t.Helper()
	before := l.now()
	err := harness.Until(r.t.Context(), 2*time.Minute, "the Java clients get on", func() bool {
		for i, n := range l.now() {
			if n < before[i]+5 {
				return false
			}
		}
		return true
	})
	if err != nil {
		r.t.Fatalf("%v: from %v to %v", err, before, l.now())
	}
}

// end has everything consumed and returns the verdicts.
func (l *javaLoad) end(r *rig) []string {
	r.t.Helper()
	r.ok(l.in.Close())
	select {
	case <-l.done:
	case <-time.After(3 * time.Minute):
		r.t.Fatal("the Java clients don't end")
	}
	if err := l.cmd.Wait(); err != nil {
		r.t.Fatalf("%v\n%s", err, &l.complaints)
	}
	return l.verdicts
}

// Java programs with failover:(tcp://a,tcp://b,tcp://c)?randomize=false go on
// while one master after the other ends: of what was answered nothing is lost
// or skipped, transactions are there as a whole or not at all, and so are XA
// branches, those too that wait prepared through failovers.
func TestJavaClientsGoOnThroughFailovers(t *testing.T) {
	const kills = 20
	r := newRig(t)
	l := r.startJava(t.Context())
	l.goesOn(r)
	for i := range kills {
		what := "kill -9 of the broker"
		if i%2 == 1 {
			what = "the death of the node"
		}
		r.breakOnce(what)
		l.goesOn(r)
	}
	verdicts := l.end(r)
	for _, v := range verdicts {
		t.Log(v)
		var queue string
		var done, doubt, lost, partly, again, disorder int
		if _, err := fmt.Sscanf(v, "%s done %d doubt %d lost %d partly %d again %d disorder %d",
			&queue, &done, &doubt, &lost, &partly, &again, &disorder); err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		if done < 5*kills || lost+partly+again+disorder > 0 {
			t.Errorf("after %d kills: %s", kills, v)
		}
	}
	if len(verdicts) != 3 {
		t.Errorf("%d verdicts, want 3", len(verdicts))
	}
	if t.Failed() {
		t.Log(l.complaints.String())
	}
	r.finish()
}

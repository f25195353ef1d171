package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/election/etcd"
)

// A guardian is the process that "serve" starts the broker from in a
// replicated group. It does one thing: when the broker's process has ended
// without giving its lease back, because it was killed or crashed, it revokes
// the lease, so that the others elect a master at once and not when the lease
// has run out. It knows the lease from lines that the broker writes to a pipe.

// guardedBy names the variable that tells a broker that it has a guardian.
const guardedBy = config.EnvPrefix + "GUARDED"

// guardPipe is the broker's end of the pipe.
const guardPipe = 3

// revokeLimit bounds what a guardian does after the broker's end.
const revokeLimit = 5 * time.Second

// guardLine is what the broker tells its guardian.
type guardLine struct {
	// Lease is what is to be revoked at the broker's end, 0 for none.
	Lease int64       `json:"lease"`
	Etcd  guardedEtcd `json:"etcd"`
	// Notify is to be passed on to systemd, which listens to the first process only.
	Notify string `json:"notify,omitempty"`
}

// guardedEtcd is where leases are revoked, in a form that fits through a pipe.
type guardedEtcd struct {
	Endpoints    []string `json:"endpoints,omitempty"`
	User         string   `json:"user,omitempty"`
	PasswordFile string   `json:"passwordFile,omitempty"`
	Certificate  string   `json:"certificate,omitempty"`
	Key          string   `json:"key,omitempty"`
	CA           string   `json:"ca,omitempty"`
	ServerName   string   `json:"serverName,omitempty"`
}

// wantsGuardian reports whether serve is to start the broker from a guardian.
func (p *program) wantsGuardian(c *config.Cluster) bool {
	return c.Replicated() && c.Guardian && p.getenv(guardedBy) == "" && canGuard
}

// guard runs the broker as a child, with the same command line, until it ends,
// and returns what it ended with.
func (p *program) guard(ctx context.Context, log *logging) error {
	runtime.LockOSThread() // the child ends with the thread that started it
	defer runtime.UnlockOSThread()
	lines, theirs, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start the guardian: %w", err)
	}
	defer lines.Close()
	self, err := os.Executable()
	if err != nil {
		return errors.Join(fmt.Errorf("start the guardian: %w", err), theirs.Close())
	}
	child := exec.Command(self, os.Args[1:]...) //nolint:gosec,noctx // the same program with what it was started with itself; it ends by signals
	child.Env = append(os.Environ(), guardedBy+"=1")
	child.Stdin, child.Stdout, child.Stderr = p.in, p.out, p.err
	child.ExtraFiles = []*os.File{theirs} // guardPipe
	child.SysProcAttr = guardedProcess()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(slices.Clone(stopSignals), reloadSignal, reportSignal)...)
	defer signal.Stop(signals)
	if err := errors.Join(child.Start(), theirs.Close()); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	g := &guardian{notify: p.notifier(), log: log}
	var listening sync.WaitGroup
	listening.Go(func() { g.listen(ctx, lines) })
	ended := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() { passSignals(ctx, child.Process, signals, ended) })
	err = child.Wait()
	close(ended)
	// The pipe ends with the process, so this is the last word.
	listening.Wait()
	g.revoke(context.WithoutCancel(ctx))
	passing.Wait()
	return guardedEnd(err)
}

// passSignals hands the operator's signals on to the broker.
func passSignals(ctx context.Context, to *os.Process, signals <-chan os.Signal, ended <-chan struct{}) {
	stop := ctx.Done()
	for {
		var s os.Signal
		select {
		case s = <-signals:
		case <-stop:
			s, stop = stopSignals[len(stopSignals)-1], nil
		case <-ended:
			return
		}
		_ = to.Signal(s) // one that has ended needs none
	}
}

// guardian is the parent's view of the broker.
type guardian struct {
	notify notifier
	log    *logging
	last   guardLine // owned by listen until it ends
}

// listen takes the broker's lines until its end.
func (g *guardian) listen(ctx context.Context, from io.Reader) {
	in := bufio.NewScanner(from)
	for in.Scan() {
		var line guardLine
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			g.log.Warn("the broker told its guardian nonsense", "error", err)
			continue
		}
		if line.Notify == "" {
			g.last = line
			continue
		}
		if err := g.notify.tell(ctx, line.Notify); err != nil {
			g.log.Warn("systemd was not told", "error", err)
		}
	}
}

// revoke ends the lease that the broker left behind.
func (g *guardian) revoke(ctx context.Context) {
	if g.last.Lease == 0 {
		return
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, revokeLimit)
	defer cancel()
	err := g.last.revoke(ctx)
	if err != nil {
		g.log.Warn("the broker has ended, and its lease could not be revoked: it runs out by itself", "error", err)
		return
	}
	g.log.Warn("the broker has ended without a word: its lease was revoked, another node takes over", "took", time.Since(began).String())
}

func (l *guardLine) revoke(ctx context.Context) (err error) {
	e := &l.Etcd
	dial, err := dialOptions(&config.Etcd{
		Endpoints: e.Endpoints, User: e.User, PasswordFile: e.PasswordFile, Certificate: e.Certificate, Key: e.Key, CA: e.CA,
	}, nil)
	if err != nil {
		return err
	}
	if dial.TLS != nil {
		dial.TLS.ServerName = e.ServerName
	}
	client, err := etcd.Dial(dial)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return etcd.Revoke(ctx, client, l.Lease)
}

// guardedEnd is what the broker's end means for the guardian's own.
func guardedEnd(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	return &childError{exit}
}

// childError is the broker's own end: it has said why itself.
type childError struct{ exit *exec.ExitError }

func (e *childError) Error() string { return "the broker ended: " + e.exit.Error() }

// ExitCode implements coded. A process that a signal ended has no code of its own.
func (e *childError) ExitCode() int {
	if code := e.exit.ExitCode(); code >= 0 {
		return code
	}
	return exitTempFail
}

// guardedLines writes to the guardian, if there is one. It may be called from any goroutine.
type guardedLines struct {
	mu   sync.Mutex
	pipe io.Writer // nil without a guardian
}

func (p *program) guardedLines() *guardedLines {
	if p.getenv(guardedBy) == "" {
		return &guardedLines{}
	}
	return &guardedLines{pipe: os.NewFile(guardPipe, "guardian")}
}

// tell sends a line; it reports whether there is a guardian.
func (g *guardedLines) tell(l guardLine) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pipe == nil {
		return false, nil
	}
	text, err := json.Marshal(l)
	if err == nil {
		_, err = g.pipe.Write(append(text, '\n'))
	}
	if err != nil {
		g.pipe = nil // it has ended, and this process will
		return true, fmt.Errorf("tell the guardian: %w", err)
	}
	return true, nil
}

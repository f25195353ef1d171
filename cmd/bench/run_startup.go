package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTimeout is how long a started broker has to end before it is killed.
const stopTimeout = 15 * time.Second

// runStartup starts the command and waits until it accepts a client.
func runStartup(ctx context.Context, s *settings, p *progress) (*result, error) {
	if err := nobodyListens(ctx, s.address); err != nil {
		return nil, err
	}
	p.begin("start")
	d := s.dialer(newClock())
	b, err := startBroker(s.command)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	accepted, err := b.awaitClient(ctx, d, s.timeout)
	if err != nil {
		return nil, err
	}
	p.begin("settle")
	own := *s
	own.pid = b.cmd.Process.Pid
	idle, err := rest(ctx, &own)
	if err != nil {
		return nil, err
	}
	r := newResult(s)
	r.Startup = &startupResult{AcceptedMs: millis(accepted), IdleRSS: mib(idle.rss)}
	r.setUsage(idle, 0)
	return r, nil
}

// nobodyListens makes sure that it will be our broker that answers.
func nobodyListens(ctx context.Context, address string) error {
	nd := net.Dialer{Timeout: time.Second}
	conn, err := nd.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil //nolint:nilerr // what is hoped for
	}
	conn.Close()
	return fmt.Errorf("something listens on %s already: stop it, or give another --server", address)
}

// startedBroker is a broker that this run started, in a process group of its
// own so that what a start script leaves behind is stopped too.
type startedBroker struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when err says how
	err   error
}

func startBroker(command []string) (*startedBroker, error) {
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // stop ends it; the operator's own command line
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	b := &startedBroker{cmd: cmd, ended: make(chan struct{})}
	go func() { b.err = cmd.Wait(); close(b.ended) }()
	return b, nil
}

// awaitClient waits for the first accepted client, or for the command's end.
func (b *startedBroker) awaitClient(ctx context.Context, d *dialer, timeout time.Duration) (time.Duration, error) {
	ctx, fail := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-b.ended:
			fail(errors.Join(errors.New("the command ended before it accepted a client"), b.err))
		case <-ctx.Done():
		}
	}()
	took, err := awaitBroker(ctx, d, timeout)
	fail(nil)
	<-ended
	return took, err
}

// stop asks the group to end, and after a while makes it.
func (b *startedBroker) stop() {
	group := -b.cmd.Process.Pid
	// The group may be gone already: then there is nothing to stop.
	_ = syscall.Kill(group, syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-b.ended:
	case <-timer.C:
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-b.ended
}

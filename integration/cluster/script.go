package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/integration/faults"
)

// Script is a client in another language that does what a Load does, and writes
// a line for each event (see py/load.py).
type Script struct {
	Events atomic.Int64 // of the kind that shows that it gets on: receipts

	history *faults.History
	queue   string
	next    func() int  // numbers connections
	conns   map[int]int // number in the history by the script's own; owned by read
	input   io.Closer
	cmd     *exec.Cmd
	said    strings.Builder
	run     sync.WaitGroup
	err     error // of read
}

// scriptKinds are the events of a script.
var scriptKinds = map[string]faults.Kind{
	"sends": faults.SendInvoked, "sent": faults.SendConfirmed,
	"received": faults.Received, "acks": faults.AckInvoked, "acked": faults.AckConfirmed,
}

// StartScript runs python load.py ROLE QUEUE with addresses of nodes. The load's
// Stop ends it, and empties its queue.
func (l *Load) StartScript(ctx context.Context, python, role, queue string, addresses ...string) (*Script, error) {
	s := &Script{history: l.History, queue: queue, conns: map[int]int{}, next: func() int { return int(l.conns.Add(1)) }}
	s.cmd = exec.CommandContext(ctx, python, append([]string{"py/load.py", role, queue}, addresses...)...)
	s.cmd.Stderr = &s.said
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, s.cmd.Start()); err != nil {
		return nil, fmt.Errorf("start a client with stomp.py: %w", err)
	}
	s.input = in
	l.scripts = append(l.scripts, s)
	s.run.Go(func() { s.err = s.read(out) })
	return s, nil
}

// read takes the script's lines until its end.
func (s *Script) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var at int64
		var event string
		var conn, count, redelivered, corrupt int
		if _, err := fmt.Sscan(lines.Text(), &at, &event, &conn, &count, &redelivered, &corrupt); err != nil {
			return fmt.Errorf("the script says %q: %w", lines.Text(), err)
		}
		kind, ok := scriptKinds[event]
		if !ok {
			return fmt.Errorf("the script says %q", lines.Text())
		}
		id, ok := s.conns[conn]
		if !ok {
			id = s.next()
			s.conns[conn] = id
		}
		s.history.AddAt(faults.Event{
			Kind: kind, Life: id, Conn: id, Place: s.queue, Value: faults.Value{Producer: s.queue, Count: count},
			Redelivered: redelivered == 1, Corrupt: corrupt == 1,
		}, time.Duration(at))
		if kind == faults.SendConfirmed || kind == faults.AckConfirmed {
			s.Events.Add(1)
		}
	}
	return lines.Err()
}

// Stop ends the script and waits for it.
func (s *Script) Stop() error {
	err := s.input.Close()
	s.run.Wait()
	err = errors.Join(err, s.err, s.cmd.Wait())
	if err != nil {
		err = fmt.Errorf("the client with stomp.py: %w; it wrote:\n%s", err, lastLines(s.said.String(), 30))
	}
	return err
}

func lastLines(s string, n int) string {
	at := len(s)
	for ; at > 0 && n > 0; at-- {
		if s[at-1] == '\n' {
			n--
		}
	}
	return s[at:]
}

package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say how to start a broker.
type Options struct {
	Program  Program
	Dir      string        // data directory
	Listen   []string      // listener URIs; nil is STOMP and WebSocket on free ports
	Settings []string      // key=value for --set
	Prefix   []string      // command that runs the program, such as a tracer; it must exec it
	Ready    time.Duration // longest time to the banner, 30 s if 0
}

// Broker is a running process.
type Broker struct {
	Banner string

	cmd    *exec.Cmd
	log    *logBuffer
	exited chan struct{}
	byName map[string]string // scheme -> host:port of the first listener of that scheme
}

// StartError is a broker that ended, or said nothing, instead of getting ready.
type StartError struct {
	ExitCode int // -1 if it had to be killed
	Log      string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("the broker did not get ready (exit code %d):\n%s", e.ExitCode, e.Log)
}

// Start runs a broker and returns when its banner says that it is ready.
func Start(ctx context.Context, o Options) (*Broker, error) {
	cmd := o.Program.Command(o.Prefix, arguments(o)...)
	b := &Broker{cmd: cmd, log: &logBuffer{}, exited: make(chan struct{})}
	cmd.Stderr = b.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the broker: %w", err)
	}
	banner := make(chan string, 1)
	go b.watch(out, banner)
	wait := o.Ready
	if wait == 0 {
		wait = 30 * time.Second
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case b.Banner = <-banner:
	case <-timer.C:
	case <-ctx.Done():
	}
	if b.byName, err = parseBanner(b.Banner); err != nil {
		return nil, errors.Join(b.failure(), err, ctx.Err())
	}
	return b, nil
}

// failure ends a broker that did not get ready and says what it said.
func (b *Broker) failure() error {
	ended := b.Banner == "" && b.ended(time.Second)
	b.Close()
	code := -1
	if ended {
		code = b.cmd.ProcessState.ExitCode()
	}
	return &StartError{ExitCode: code, Log: b.Log()}
}

func arguments(o Options) []string {
	listen := o.Listen
	if listen == nil {
		listen = []string{"stomp://127.0.0.1:0", "ws://127.0.0.1:0"}
	}
	args := []string{"serve", "--data-dir", o.Dir, "--console", "127.0.0.1:0"}
	for _, uri := range listen {
		args = append(args, "--listen", uri)
	}
	for _, setting := range o.Settings {
		args = append(args, "--set", setting)
	}
	return args
}

// watch hands over the first line of stdout and waits for the end.
func (b *Broker) watch(out io.Reader, banner chan<- string) {
	lines := bufio.NewReader(out)
	line, _ := lines.ReadString('\n') // the end of the process shows as no banner
	banner <- line
	_, _ = io.Copy(io.Discard, lines)
	_ = b.cmd.Wait() // ProcessState says how it ended
	close(b.exited)
}

// parseBanner reads "entrepot VERSION ready: name=N role=R listeners=URI,URI console=URL".
func parseBanner(line string) (map[string]string, error) {
	_, fields, ok := strings.Cut(line, " ready: ")
	if !ok {
		return nil, fmt.Errorf("no banner: %q", line)
	}
	found := map[string]string{}
	for field := range strings.FieldsSeq(fields) {
		name, value, _ := strings.Cut(field, "=")
		if name != "listeners" && name != "console" {
			continue
		}
		for uri := range strings.SplitSeq(value, ",") {
			u, err := url.Parse(uri)
			if err != nil {
				return nil, fmt.Errorf("banner %q: %w", line, err)
			}
			key := u.Scheme
			if name == "console" {
				key = "console"
			}
			if _, have := found[key]; !have {
				found[key] = u.Host
			}
		}
	}
	return found, nil
}

// Addr is host:port of the first listener of a scheme: "stomp", "ws"; of
// "console" the console's.
func (b *Broker) Addr(scheme string) string { return b.byName[scheme] }

// Pid is the process's.
func (b *Broker) Pid() int { return b.cmd.Process.Pid }

// Log is what the broker wrote to stderr until now.
func (b *Broker) Log() string { return b.log.String() }

// Exited is closed when the process has ended.
func (b *Broker) Exited() <-chan struct{} { return b.exited }

// Kill ends the process with SIGKILL and waits for its end.
func (b *Broker) Kill() error {
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-b.exited
	return nil
}

// Close kills what is still running. It may be called at any time, again too.
func (b *Broker) Close() { _ = b.Kill() }

// Stop ends the broker with SIGTERM, and expects that it ends well in time.
func (b *Broker) Stop(timeout time.Duration) error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	code, err := b.Wait(timeout)
	if err == nil && code != 0 {
		err = fmt.Errorf("the broker ended with %d on SIGTERM:\n%s", code, b.Log())
	}
	return err
}

// Wait waits until the broker ends by itself and returns its exit code.
func (b *Broker) Wait(timeout time.Duration) (int, error) {
	if !b.ended(timeout) {
		return 0, fmt.Errorf("the broker did not end in %s:\n%s", timeout, b.Log())
	}
	return b.cmd.ProcessState.ExitCode(), nil
}

func (b *Broker) ended(timeout time.Duration) bool {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-b.exited:
		return true
	case <-timer.C:
		return false
	}
}

// logBuffer collects what the process writes to stderr, and of a lot the end.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const logKept = 1 << 20 // bytes

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() > logKept {
		l.buf.Next(l.buf.Len() / 2)
	}
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is the real program, serving as a process of its own.
type child struct {
	t        *testing.T
	cmd      *exec.Cmd
	banner   string
	stomp    string // host:port
	mqtt     string // host:port, "" without such a listener
	amqp     string // the same
	openwire string // the same
	console  string // host:port
	log      *logBuffer
	exited   chan struct{}
}

// logBuffer collects what the child writes to stderr.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const patience = time.Minute

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s did not come true in %s", what, patience)
		}
	}
}

func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{t: t, log: &logBuffer{}, exited: make(chan struct{})}
	args = append([]string{"serve", "--listen", "stomp://127.0.0.1:0", "--listen", "ws://127.0.0.1:0", "--console", "127.0.0.1:0"}, args...)
	c.cmd = exec.Command(os.Args[0], args...)
	c.cmd.Env = append(os.Environ(), beBroker+"=1")
	c.cmd.Stderr = c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it may have ended long ago
		<-c.exited
		if t.Failed() {
			t.Logf("the child's log:\n%s", c.log)
		}
	})
	lines := bufio.NewReader(out)
	c.banner, err = lines.ReadString('\n')
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = c.cmd.Wait() // ProcessState says how it ended
		close(c.exited)
	}()
	if err != nil {
		t.Fatalf("no banner: %v", err)
	}
	m := regexp.MustCompile(`^entrepot \S+ ready: name=\S+ role=master listeners=stomp://(127\.0\.0\.1:\d+),ws://127\.0\.0\.1:\d+(?:,mqtt://(127\.0\.0\.1:\d+))?(?:,amqp://(127\.0\.0\.1:\d+))?(?:,openwire://(127\.0\.0\.1:\d+))? console=http://(127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(c.banner)
	if m == nil {
		t.Fatalf("the banner is %q", c.banner)
	}
	c.stomp, c.mqtt, c.amqp, c.openwire, c.console = m[1], m[2], m[3], m[4], m[5]
	return c
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// end waits for the child's end and returns its exit code.
func (c *child) end() int {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.t.Fatal("the child does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) logs(text string) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("log line %q", text), func() bool { return strings.Contains(c.log.String(), text) })
}

// entrepot runs a command against the child and expects it to succeed.
func (c *child) entrepot(args ...string) string {
	c.t.Helper()
	r := runWith(c.t.Context(), "", []string{"ENTREPOT_SERVER=" + c.stomp}, args...)
	if r.code != exitOK {
		c.t.Fatalf("%q ended with %d: %s", args, r.code, r.err)
	}
	return r.out
}

func TestServeAnnouncesItselfIsHealthyAndDrainsOnSIGTERM(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	if got, want := c.entrepot("health", "--console", c.console), "ready\n[+] store\n[+] listeners\n[+] running\n"; got != want {
		t.Errorf("health is %q", got)
	}
	c.entrepot("pub", "/queue/a", "one", "two")
	if got := c.entrepot("sub", "/queue/a", "-n", "2"); got != "one\ntwo\n" {
		t.Errorf("received %q", got)
	}
	metrics := get(t, "http://"+c.console+"/metrics")
	for _, want := range []string{
		"\nentrepot_messages_received_total{protocol=\"stomp\"} 2\n",
		"\nentrepot_messages_delivered_total{protocol=\"stomp\"} 2\n",
		"\nentrepot_queues 1\n", "\nentrepot_is_master 1\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%q is missing in\n%s", want, metrics)
		}
	}
	c.signal(syscall.SIGTERM)
	if code := c.end(); code != exitOK {
		t.Errorf("code is %d", code)
	}
	c.logs("the broker has stopped")
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestConfirmedPersistentMessagesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "--data-dir", dir)
	c.entrepot("pub", "/queue/a", "kept", "--persistent", "--receipt")
	c.signal(syscall.SIGKILL)
	c.end()

	c = startChild(t, "--data-dir", dir)
	if got := c.entrepot("sub", "/queue/a", "-n", "1"); got != "kept\n" {
		t.Errorf("received %q", got)
	}
	c.signal(syscall.SIGTERM)
	if code := c.end(); code != exitOK {
		t.Fatalf("code is %d", code)
	}
	if r := run(t, "store", "check", "--data-dir", dir); r.code != exitOK || !strings.HasPrefix(r.out, "log: ") || !strings.Contains(r.out, "\npages: ") {
		t.Errorf("check says %+v", r)
	}
	r := run(t, "store", "dump", "--data-dir", dir)
	if r.code != exitOK || !strings.Contains(r.out, `{"op":"publish","destination":"queue://a"`) {
		t.Errorf("dump says %+v", r)
	}
	if r := run(t, "store", "dump", "--part", "pages", "--data-dir", dir); r.code != exitOK || !strings.HasPrefix(r.out, `{"key":"`) ||
		!strings.Contains(r.out, `"kind":"queue","queue":1,`) || !strings.Contains(r.out, `"kind":"state","part":"n",`) {
		t.Errorf("dump of the pages says %+v", r)
	}
}

func TestASecondSignalEndsABusyBrokerAtOnce(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir(), "--set", "shutdown.timeout=1h")
	conn, err := net.Dial("tcp", c.stomp)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00"); err != nil {
		t.Fatal(err)
	}
	// A client that never pauses: a drain would wait for it.
	go func() {
		for {
			if _, err := io.WriteString(conn, "SEND\ndestination:/topic/busy\n\nx\x00"); err != nil {
				return
			}
		}
	}()
	if _, err := bufio.NewReader(conn).ReadString(0); err != nil {
		t.Fatal(err)
	}
	c.signal(syscall.SIGTERM)
	c.logs("shutting down")
	c.signal(syscall.SIGTERM)
	if code := c.end(); code != exitOK {
		t.Errorf("code is %d", code)
	}
	c.logs("shutting down now")
}

func TestReloadTakesWhatItCanAndKeepsTheOldOtherwise(t *testing.T) {
	file := filepath.Join(t.TempDir(), "entrepot.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log:\n  level: info\n")
	c := startChild(t, "--data-dir", t.TempDir(), "--config", file)
	reloads := "\nentrepot_config_reload_success "

	write("log:\n  levl: debug\n")
	c.signal(syscall.SIGHUP)
	c.logs("the configuration was not reloaded, the old one stays in force")
	c.logs("did you mean level?")
	if m := get(t, "http://"+c.console+"/metrics"); !strings.Contains(m, reloads+"0\n") {
		t.Error("the metric does not say that the reload failed")
	}

	write("log:\n  level: warn\nbrokerName: other\ndestinationPolicy:\n  - queue: a\n    maxMessages: 1\n")
	c.signal(syscall.SIGHUP)
	c.logs(`"these changes need a restart","keys":"brokerName"`)
	until(t, "the metric of a good reload", func() bool {
		return strings.Contains(get(t, "http://"+c.console+"/metrics"), reloads+"1\n")
	})
	c.signal(syscall.SIGTERM)
	c.end()
	if strings.Contains(c.log.String(), "the broker has stopped") {
		t.Error("level warn still logs at info")
	}
}

func TestReportShowsStateAndGoroutines(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	c.signal(syscall.SIGUSR1)
	c.logs(`"msg":"state","connections":0`)
	c.logs("goroutine profile: total")
}

func TestAPortInUseIsNamedWithWhatToDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, listen, console, flag string }{
		{"listener", address, "none", "--listen"},
		{"console", "127.0.0.1:0", address, "--console"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, "serve", "--data-dir", t.TempDir(), "--listen", "stomp://"+test.listen, "--console", test.console)
			want := "port " + port + " is in use, by another broker perhaps: stop it (ss -ltnp shows it), or choose another port with " + test.flag
			if r.code != exitError || !strings.Contains(r.err, want) || r.out != "" {
				t.Errorf("got %+v, want %q", r, want)
			}
		})
	}
}

func TestASecondBrokerOnTheSameDataIsRefused(t *testing.T) {
	dir := t.TempDir()
	startChild(t, "--data-dir", dir)
	r := run(t, "serve", "--data-dir", dir, "--listen", "stomp://127.0.0.1:0", "--console", "none")
	if r.code != exitError || !strings.Contains(r.err, dir) {
		t.Errorf("got %+v", r)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	log := &logBuffer{}
	p := &program{out: writer, err: log}
	done := make(chan int, 1)
	go func() {
		done <- p.run(ctx, []string{"serve", "--data-dir", t.TempDir(), "--listen", "stomp://127.0.0.1:0", "--console", "none"})
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, " console=none\n") {
		t.Errorf("the banner is %q, %v", line, err)
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("code is %d: %s", code, log)
	}
}

func TestSystemdIsToldOfReadinessAndStop(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p := &program{env: []string{"NOTIFY_SOCKET=" + socket}}
	for _, state := range []string{"READY=1\nSTATUS=master, serving clients", "STOPPING=1"} {
		if err := p.notifier().tell(t.Context(), state); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := listener.Read(b)
		if err != nil || string(b[:n]) != state {
			t.Errorf("systemd got %q, %v", b[:n], err)
		}
	}
	if err := (notifier{}).tell(t.Context(), "READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

// The time for a drain isn't waited for, whatever clients do.
func TestStoreFailureEndsServeAtOnceWithItsOwnCode(t *testing.T) {
	cfg := loadForTest(t)
	cfg.Shutdown.Timeout = time.Hour
	n, err := startNode(t.Context(), cfg, quiet(t), &guardedLines{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", n.server.Listeners()[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var busy sync.WaitGroup
	busy.Go(func() {
		_, err := io.WriteString(conn, "CONNECT\naccept-version:1.2\nhost:x\n\n\x00")
		for err == nil {
			_, err = io.WriteString(conn, "SEND\ndestination:/topic/busy\n\nx\x00")
		}
	})
	if _, err := bufio.NewReader(conn).ReadString(0); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	n.brokerOptions().Store.OnFailure(broken)
	s := &service{node: n, signals: make(chan os.Signal)}
	if err := s.run(t.Context()); !errors.Is(err, broken) || exitCode(err) != exitTempFail {
		t.Errorf("run returned %v", err)
	}
	busy.Wait()
}

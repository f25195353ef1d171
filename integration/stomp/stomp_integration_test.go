//go:build integration

package stomp

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var program harness.Program

func TestMain(m *testing.M) { os.Exit(harness.Run(m, &program)) }

func startBroker(t *testing.T, prefix ...string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: t.TempDir(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// features runs a client and fails for each feature that did; want is how
// many lines there have to be.
func features(t *testing.T, want int, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	ok := 0
	for line := range strings.Lines(string(out)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "ok "):
			ok++
			t.Log(line)
		default:
			t.Error(line)
		}
	}
	if ok != want {
		t.Errorf("%d features passed, want %d", ok, want)
	}
	if t.Failed() {
		t.Log(complaints.String())
	}
}

func TestStompPy(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(startBroker(t).Addr("stomp"))
	if err != nil {
		t.Fatal(err)
	}
	features(t, 24, ".", python, filepath.Join("py", "features.py"), host, port)
}

func TestStompPyAndDestinations(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(filepath.Join("py", "topics.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(startBroker(t, "env", "ENTREPOT_CONFIG="+file).Addr("stomp"))
	if err != nil {
		t.Fatal(err)
	}
	features(t, 12, ".", python, filepath.Join("py", "topics.py"), host, port)
}

func TestStompPyAndQueues(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(filepath.Join("py", "queues.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, "env", "ENTREPOT_CONFIG="+file)
	host, port, err := net.SplitHostPort(b.Addr("stomp"))
	if err != nil {
		t.Fatal(err)
	}
	features(t, 17, ".", python, filepath.Join("py", "queues.py"), host, port, b.Addr("console"))
}

func TestStompJS(t *testing.T) {
	dir := t.TempDir()
	node, err := harness.Node(t.Context(), "js", dir)
	if err != nil {
		t.Fatal(err)
	}
	const all = 15
	t.Run("Node over WebSocket", func(t *testing.T) {
		features(t, all, dir, node, "node.mjs", "ws", "ws://"+startBroker(t).Addr("ws")+"/")
	})
	t.Run("Node over TCP", func(t *testing.T) {
		host, port, err := net.SplitHostPort(startBroker(t).Addr("stomp"))
		if err != nil {
			t.Fatal(err)
		}
		features(t, all, dir, node, "node.mjs", "tcp", host, port)
	})
	t.Run("Chromium over WebSocket", func(t *testing.T) {
		chromium, err := harness.Tool(t.Context(), "chromium", "chromium")
		if err != nil {
			t.Fatal(err)
		}
		features(t, all, dir, node, "browser.mjs", chromium, "ws://"+startBroker(t).Addr("ws")+"/")
	})
}

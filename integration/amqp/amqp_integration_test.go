//go:build integration

package amqp

import (
	"context"
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

func startBroker(t *testing.T) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: t.TempDir(), Listen: []string{"amqp://127.0.0.1:0", "ws://127.0.0.1:0"},
	})
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
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "ok ") {
			t.Error(line)
			continue
		}
		ok++
		t.Log(line)
	}
	if ok != want {
		t.Errorf("%d features passed, want %d", ok, want)
	}
	if t.Failed() {
		t.Log(complaints.String())
	}
}

func TestQpidJMS(t *testing.T) {
	java, classPath, err := harness.Java(t.Context(), filepath.Join("java", "pom.xml"), "java", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	features(t, 21, ".", java, "-cp", classPath, "Features", startBroker(t).Addr("amqp"))
}

func TestProtonPython(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	features(t, 11, ".", python, filepath.Join("py", "features.py"), startBroker(t).Addr("amqp"))
}

func TestProtonCpp(t *testing.T) {
	client := filepath.Join(t.TempDir(), "features")
	err := harness.Cpp(t.Context(), filepath.Join("cpp", "features.cpp"), "qpid-proton-cpp", "libqpid-proton-cpp12-dev", client)
	if err != nil {
		t.Fatal(err)
	}
	features(t, 9, ".", client, startBroker(t).Addr("amqp"))
}

func TestRhea(t *testing.T) {
	dir := t.TempDir()
	node, err := harness.Node(t.Context(), "js", dir)
	if err != nil {
		t.Fatal(err)
	}
	const all = 10
	t.Run("TCP", func(t *testing.T) { features(t, all, dir, node, "features.mjs", startBroker(t).Addr("amqp")) })
	t.Run("WebSocket", func(t *testing.T) {
		features(t, all, dir, node, "features.mjs", "ws://"+startBroker(t).Addr("ws")+"/")
	})
}

//go:build integration

package openwire

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

// featureCount is how many lines the program Features prints; there is one more
// of client 6.
const featureCount = 36

func TestActiveMQ5Client(t *testing.T) { runFeatures(t, "pom5.xml", nil) }

// ActiveMQ 6 has the same API in another package.
func TestActiveMQ6Client(t *testing.T) { runFeatures(t, "pom6.xml", jakarta) }

// Clients may ask for what the broker doesn't offer by itself.
func TestTightAndCachedEncoding(t *testing.T) {
	runFeatures(t, "pom5.xml", nil, "wireFormat.tightEncodingEnabled=true&wireFormat.cacheEnabled=true")
}

func runFeatures(t *testing.T, pom string, edit func([]byte) []byte, options ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	sources := filepath.Join("java", "src")
	if edit != nil {
		sources = edited(t, sources, edit)
	}
	java, classPath, err := harness.Java(ctx, filepath.Join("java", pom), sources, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	listener := "tcp://127.0.0.1:0"
	if len(options) > 0 {
		listener += "?" + strings.Join(options, "&")
	}
	b, err := harness.Start(ctx, harness.Options{Program: program, Dir: t.TempDir(), Listen: []string{listener}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	want, args := featureCount, []string{"-cp", classPath, "Features", "tcp://" + b.Addr("openwire")}
	if pom == "pom6.xml" {
		want, args = want+1, append(args, "with contexts of JMS 2")
	}
	checkLines(t, want, exec.CommandContext(ctx, java, args...))
}

// edited copies the Java sources and changes them.
func edited(t *testing.T, sources string, edit func([]byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	list, err := filepath.Glob(filepath.Join(sources, "*.java"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), edit(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

//go:build integration

package console

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

func start(t *testing.T, settings ...string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: t.TempDir(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// run runs the program with a password on its stdin.
func run(t *testing.T, args ...string) {
	t.Helper()
	cmd := program.Command(nil, args...)
	cmd.Stdin = strings.NewReader("password\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

func TestTheConsoleInChromium(t *testing.T) {
	dir := t.TempDir()
	node, err := harness.Node(t.Context(), "js", dir)
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := harness.Tool(t.Context(), "chromium", "chromium")
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	run(t, "user", "add", "reader", "--groups", "readers", "--users", users)
	open, guarded := start(t), start(t, "security.users="+users, "destinations=queue://seen")

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := []string{"console.mjs", chromium, "http://" + open.Addr("console"), "http://" + guarded.Addr("console")}
	if pictures := os.Getenv("ENTREPOT_SCREENSHOTS"); pictures != "" {
		args = append(args, pictures)
	}
	cmd := exec.CommandContext(ctx, node, args...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s", err, complaints.String())
	}
	const features = 15
	passed := 0
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "ok ") {
			t.Error(line)
			continue
		}
		passed++
		t.Log(line)
	}
	if passed != features {
		t.Errorf("%d features passed, want %d", passed, features)
	}
}

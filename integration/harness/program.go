package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program is how to run entrepot.
type Program struct {
	Path string   // of the executable
	Env  []string // added to this process's environment
}

// Build compiles the broker into dir.
func Build(ctx context.Context, dir string) (Program, error) {
	path := filepath.Join(dir, "entrepot")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/entrepot-mq/entrepot/cmd/entrepot")
	if out, err := build.CombinedOutput(); err != nil {
		return Program{}, fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	return Program{Path: path}, nil
}

// Run builds the broker, runs a package's tests and cleans up: the body of
// TestMain. The result is for os.Exit.
func Run(m *testing.M, program *Program) int {
	dir, err := os.MkdirTemp("", "entrepot-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if *program, err = Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Command is entrepot with arguments, not yet started. With a prefix, such as
// a tracer, that runs, and runs entrepot.
func (p Program) Command(prefix []string, args ...string) *exec.Cmd {
	line := append(append(append([]string{}, prefix...), p.Path), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(os.Environ(), p.Env...)
	return cmd
}

// Store runs an offline command on a data directory: "check" or "dump".
func (p Program) Store(ctx context.Context, command, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, p.Path, "store", command, "--data-dir", dir)
	cmd.Env = append(os.Environ(), p.Env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

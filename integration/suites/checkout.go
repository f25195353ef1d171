//go:build suites

package suites

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// suite is a library's repository at the commit whose tests are run.
type suite struct {
	name     string
	origin   string
	variable string // environment variable that names another place to clone from
	commit   string
}

// checkout clones the suite into a directory of its own.
func (s suite) checkout(t *testing.T) string {
	t.Helper()
	from := os.Getenv(s.variable)
	if from == "" {
		from = s.origin
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"clone", "--quiet", "--no-checkout", from, dir},
		{"-C", dir, "-c", "advice.detachedHead=false", "checkout", "--quiet", s.commit},
	} {
		if err := git(t, args...); err != nil {
			t.Fatalf("%v\nThe tests of %s come from %s. Where that can't be reached, set %s to a clone that has commit %s.",
				err, s.name, s.origin, s.variable, s.commit)
		}
	}
	return dir
}

func git(t *testing.T, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %q: %w\n%s", args, err, out)
	}
	return nil
}

//go:build suites

package suites

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var program harness.Program

func TestMain(m *testing.M) { os.Exit(harness.Run(m, &program)) }

// users makes a users file of names and passwords.
func users(t *testing.T, logins ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users")
	for _, login := range logins {
		name, password, _ := strings.Cut(login, ":")
		add := program.Command(nil, "user", "add", name, "--users", file)
		add.Stdin = strings.NewReader(password + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("add user %s: %v\n%s", name, err, out)
		}
	}
	return file
}

func start(t *testing.T, o harness.Options) *harness.Broker {
	t.Helper()
	o.Program, o.Dir = program, t.TempDir()
	b, err := harness.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

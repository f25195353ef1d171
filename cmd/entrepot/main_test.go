package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// beBroker makes the test binary the real program: tests start it as a child.
const beBroker = "ENTREPOT_TEST_BE_PROGRAM"

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	if os.Getenv(beBroker) != "" {
		main()
		return
	}
	m.Run()
}

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

func runWith(ctx context.Context, stdin string, env []string, args ...string) result {
	var out, errOut bytes.Buffer
	p := &program{in: strings.NewReader(stdin), out: &out, err: &errOut, env: env}
	code := p.run(ctx, args)
	return result{code, out.String(), errOut.String()}
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	return runWith(t.Context(), "", nil, args...)
}

func TestHelpIsAsItWas(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		// The completion commands are cobra's, bench has tests of its own.
		if strings.HasPrefix(name, "entrepot-completion") || strings.HasPrefix(name, "entrepot-bench") {
			return
		}
		t.Run(name, func(t *testing.T) {
			r := run(t, append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
			golden := filepath.Join("testdata", "help", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(r.out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), r.out); diff != "" {
				t.Errorf("%s differs (-update rewrites it):\n%s", golden, diff)
			}
			if !strings.Contains(r.out, "\nExamples:\n  entrepot ") || r.code != exitOK || r.err != "" {
				t.Errorf("code %d, stderr %q, or no example first", r.code, r.err)
			}
		})
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				visit(c)
			}
		}
	}
	visit((&program{}).root())
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestErrorsHaveTheirExitCodeAndSayWhatToDo(t *testing.T) {
	closed := closedPort(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("store:\n  sinc: always\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, args, want string
		code             int
	}{
		{"nothing shows help", "", "", exitOK},
		{"unknown command", "serv", `unknown command "serv"; did you mean serve`, exitUsage},
		{"unknown command like nothing", "xyzzy", `unknown command "xyzzy"`, exitUsage},
		{"unknown subcommand", "config chek", `unknown command "chek"; did you mean check?`, exitUsage},
		{"unknown flag", "serve --port 1", `unknown flag: --port`, exitUsage},
		{"usage points to help", "version -o xml", `"entrepot version --help" shows how to use it.`, exitUsage},
		{"superfluous argument", "serve now", `"now" is one argument too many`, exitUsage},
		{"set without value", "serve --set store.sync", `--set "store.sync" is not key=value`, exitUsage},
		{"pub without destination", "pub", "the destination is missing: name one, such as /queue/hello", exitUsage},
		{"pub to another protocol", "pub /queue/a b -s mqtt://h", "no address of STOMP", exitUsage},
		{"pub without count", "pub /queue/a b -n 0", "--count 0 sends nothing", exitUsage},
		{"pub with a strange header", "pub /queue/a b -H x", `--header "x" is not key=value`, exitUsage},
		{"pub with two bodies", "pub /queue/a b -f c", "a BODY and --file exclude each other", exitUsage},
		{"pub lines and count", "pub /queue/a --lines -n 2", "--lines and --count exclude each other", exitUsage},
		{"pub of no file", "pub /queue/a -f no-such-file", "no such file", exitError},
		{"pub to nobody", "pub /queue/a b -s " + closed, `nothing listens there: start a broker with "entrepot serve"`, exitError},
		{"sub with a strange mode", "sub /queue/a --ack maybe", `--ack "maybe" is not one of auto, client, client-individual`, exitUsage},
		{"sub durable without client", "sub /topic/a --durable d", "--durable needs --client-id", exitUsage},
		{"sub with a strange output", "sub /queue/a -o xml", `--output "xml" is neither body nor json`, exitUsage},
		{"sub without window", "sub /queue/a --prefetch 0", "--prefetch 0 is out of range: give 1 to 65535", exitUsage},
		{"sub from nobody", "sub /queue/a -s " + closed, "nothing listens there", exitError},
		{"sub with no such CA", "sub /queue/a --ca no-such-file -s stomp+ssl://" + closed, "read --ca", exitError},
		{"health of nobody", "health --console " + closed, "nothing listens on " + closed, exitError},
		{"health of nonsense", "health --console here", `--console "here" is not host:port`, exitUsage},
		{"wrong file", "serve --config " + bad, `bad.yaml:2:3: unknown key "sinc"; did you mean sync?`, exitConfig},
		{"no file", "config check --config no-such-file", "there is no such file; check --config", exitConfig},
		{"wrong setting", "serve --set store.segmentSize=1", "store.segmentSize: 1 is out of range; give 2MiB to 4GiB", exitConfig},
		{"wrong listener", "config check --listen stmop://:1", "--listen: listeners: listener", exitConfig},
		{"wrong listener option", "config check --listen stomp://127.0.0.1:1?maximumConections=1", "maximumConnections", exitConfig},
		{"wrong part", "store dump --part x", `--part "x" is neither log nor pages`, exitUsage},
		{"no store", "store check --data-dir no-such-dir", `"no-such-dir" holds no store: name the broker's data directory with --data-dir`, exitError},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, strings.Fields(test.args)...)
			if r.code != test.code {
				t.Errorf("code is %d, want %d", r.code, test.code)
			}
			if !strings.Contains(r.err, test.want) {
				t.Errorf("stderr is %q, want %q in it", r.err, test.want)
			}
			if test.code != exitOK && r.out != "" {
				t.Errorf("stdout is %q", r.out)
			}
		})
	}
}

func TestHealthWaitsNoLongerThanItIsTold(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := run(t, "health", "--console", silent.Addr().String(), "--timeout", "50ms")
	if r.code != exitTimeout || !strings.Contains(r.err, "no answer from "+silent.Addr().String()+" in time") {
		t.Errorf("got %+v", r)
	}
}

func TestVersionIsForPeopleAndPrograms(t *testing.T) {
	if r := run(t, "version"); !strings.HasPrefix(r.out, "entrepot "+version+" (go") {
		t.Errorf("got %q", r.out)
	}
	var b buildInfo
	if err := json.Unmarshal([]byte(run(t, "version", "-o", "json").out), &b); err != nil || b.Version != version {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestConfigShowsOriginsOfFlagsAndEnvironment(t *testing.T) {
	env := []string{"ENTREPOT_LOG_LEVEL=warn"}
	r := runWith(t.Context(), "", env, "config", "show", "--origin", "--data-dir", "/d", "--listen", "ws://127.0.0.1:1")
	for _, want := range [][]string{
		{"dataDir", "/d", "--data-dir"},
		{"listeners", "ws://127.0.0.1:1", "--listen"},
		{"log.level", "warn", "ENTREPOT_LOG_LEVEL"},
		{"store.sync", "always", "default"},
	} {
		found := false
		for line := range strings.Lines(r.out) {
			found = found || cmp.Equal(strings.Fields(line), want)
		}
		if !found {
			t.Errorf("%v is missing in\n%s%s", want, r.out, r.err)
		}
	}
}

func TestConfigShowWritesAFileThatConfigCheckTakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "entrepot.yaml")
	if err := os.WriteFile(file, []byte(run(t, "config", "show").out), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runWith(t.Context(), "", []string{"ENTREPOT_LOGLEVEL=warn"}, "config", "check", "--config", file)
	if r.code != exitOK || r.out != "the configuration is right\n" {
		t.Errorf("got %+v", r)
	}
	if want := "entrepot: warning: environment variable ENTREPOT_LOGLEVEL is not a setting; did you mean ENTREPOT_LOG_LEVEL?\n"; r.err != want {
		t.Errorf("stderr is %q", r.err)
	}
}

func TestCompletionIsMadeForShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := run(t, "completion", shell); r.code != exitOK || !strings.Contains(r.out, "entrepot") {
			t.Errorf("%s: code %d, %s", shell, r.code, r.err)
		}
	}
}

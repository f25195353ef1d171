package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What STOMP clients sent is managed over the API of a real broker, and what
// came of it is received by STOMP clients.
func TestMessagesOfSTOMPClientsAreManagedOverTheAPI(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "--data-dir", dir)
	do := func(line string) string {
		t.Helper()
		env := []string{"ENTREPOT_SERVER=" + c.stomp, "ENTREPOT_CONSOLE_ADDRESS=" + c.console}
		r := runWith(t.Context(), "", env, strings.Fields(line)...)
		if r.code != exitOK {
			t.Fatalf("%s: code %d, %s", line, r.code, r.err)
		}
		return r.out
	}
	do("pub /queue/in one two three -H colour=red --persistent --receipt")
	do("pub /queue/in four --persistent --receipt")
	if out := do("queue browse in -o jsonl"); strings.Count(out, "\n") != 4 || !strings.Contains(out, `"text":"one"`) ||
		!strings.Contains(out, `{"name":"colour","type":"string","value":"red"}`) {
		t.Errorf("browsing shows %s", out)
	}
	if got := do("queue move in out --create --all -n 2 --yes"); got != "DONE  2\n" {
		t.Errorf("%q", got)
	}
	file := filepath.Join(dir, "out.jsonl")
	do("queue export out --file " + file)
	do("queue import again --create --file " + file)
	do("queue import again --file " + file)
	if got := do("sub /queue/again --browser"); got != "one\ntwo\n" {
		t.Errorf("again holds %q", got)
	}
	if got := do("queue purge in --yes"); got != "REMOVED  2\n" {
		t.Errorf("%q", got)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.exited
	c = startChild(t, "--data-dir", dir)
	if got := do("sub /queue/out -n 2"); got != "one\ntwo\n" {
		t.Errorf("out holds %q", got)
	}
	if out := do("queue info in -o jsonl"); !strings.Contains(out, `"messages":0`) {
		t.Errorf("after the restart: %s", out)
	}
}

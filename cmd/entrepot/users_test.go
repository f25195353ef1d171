package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// guarded is a broker with users and permissions, made by the commands for
// them.
type guarded struct {
	*child
	t                         *testing.T
	users, permissions, audit string
}

const (
	someRights = "queue://open.> all @staff\nqueue://shut.> read,write alice\ntemp://> all *\n"
	lessRights = "queue://open.> all alice\nqueue://shut.> read,write alice\ntemp://> all *\n"
)

func startGuarded(t *testing.T) *guarded {
	t.Helper()
	dir := t.TempDir()
	g := &guarded{
		t: t, users: filepath.Join(dir, "users"), permissions: filepath.Join(dir, "permissions"), audit: filepath.Join(dir, "audit"),
	}
	g.grant(someRights)
	for _, user := range []string{"alice --groups staff,readers", "bob --groups staff", "root --groups admins,staff"} {
		g.manage("secret of "+strings.Fields(user)[0], "user add "+user)
	}
	g.child = startChild(t, "--data-dir", filepath.Join(dir, "data"), "--set", "security.users="+g.users,
		"--set", "security.permissions="+g.permissions, "--set", "security.auditLog="+g.audit)
	return g
}

func (g *guarded) grant(lines string) {
	g.t.Helper()
	if err := os.WriteFile(g.permissions, []byte(lines), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// manage runs a command about users; a password goes in by stdin.
func (g *guarded) manage(password, line string) string {
	g.t.Helper()
	r := runWith(g.t.Context(), password+"\n", nil, append(strings.Fields(line), "--users", g.users)...)
	if r.code != exitOK {
		g.t.Fatalf("%s: code %d, %s", line, r.code, r.err)
	}
	return r.out
}

// as runs a command against the broker as a user with a password.
func (g *guarded) as(user, password, line string) result {
	g.t.Helper()
	return runWith(g.t.Context(), "", []string{
		"ENTREPOT_SERVER=" + g.stomp, "ENTREPOT_CONSOLE_ADDRESS=" + g.console, "ENTREPOT_LOGIN=" + user, "ENTREPOT_PASSCODE=" + password,
	}, strings.Fields(line)...)
}

// want runs a command as a user with their password, and says how it ends.
func (g *guarded) want(code int, text, user, line string) {
	g.t.Helper()
	r := g.as(user, "secret of "+user, line)
	if r.code != code || !strings.Contains(r.out+r.err, text) {
		g.t.Errorf("%s: %s ends with %d, %s%s\nwant %d with %q", user, line, r.code, r.out, r.err, code, text)
	}
}

// reload has the broker read its files again, and waits until it has.
func (g *guarded) reload() {
	g.t.Helper()
	before := strings.Count(g.log.String(), "the configuration was reloaded")
	g.signal(syscall.SIGHUP)
	until(g.t, "the reload", func() bool { return strings.Count(g.log.String(), "the configuration was reloaded") > before })
}

func TestUsersAndPermissionsOfTheCommandsHoldInTheBroker(t *testing.T) {
	g := startGuarded(t)
	if out := g.manage("", "user ls"); !strings.Contains(out, "alice") || !strings.Contains(out, "readers") || strings.Contains(out, "$argon2id$") {
		t.Errorf("user ls: %s", out)
	}
	for _, proof := range [][2]string{{"", ""}, {"alice", "wrong"}, {"alice", ""}, {"admin", "admin"}, {"guest", "guest"}, {"nobody", "secret of alice"}} {
		if r := g.as(proof[0], proof[1], "pub /queue/open.a x --receipt"); r.code == exitOK {
			t.Errorf("%q with %q was let in", proof[0], proof[1])
		}
		if r := g.as(proof[0], proof[1], "queue ls"); r.code != exitAuth {
			t.Errorf("%q with %q may list queues: %+v", proof[0], proof[1], r)
		}
	}
	g.want(exitOK, "", "alice", "pub /queue/open.a one --persistent --receipt")
	g.want(exitOK, "", "alice", "pub /queue/open.b two --persistent --receipt")
	g.want(exitError, "no write permission for queue://shut.a", "bob", "pub /queue/shut.a x --receipt")
	g.want(exitError, "no create permission for queue://shut.a", "alice", "pub /queue/shut.a x --receipt")
	for _, test := range []struct {
		user, op, destination, answer string
		code                          int
	}{
		{"bob", "write", "queue://open.a", "yes: ", exitOK},
		{"bob", "write", "queue://shut.a", "no: ", exitError},
		{"alice", "read", "queue://shut.>", "yes: ", exitOK},
		{"alice", "admin", "queue://shut.a", "no: ", exitError},
	} {
		r := runWith(t.Context(), "", nil, "acl", "test", "--users", g.users, "--permissions", g.permissions,
			"--user", test.user, "--op", test.op, test.destination)
		if r.code != test.code || !strings.HasPrefix(r.out, test.answer) {
			t.Errorf("%+v: %+v", test, r)
		}
	}
	// Roles and permissions count both.
	g.want(exitOK, "open.a", "alice", "queue browse open.a -o json") // a reader
	g.want(exitAuth, "role", "alice", "queue purge open.a --yes")
	g.want(exitAuth, "role", "bob", "queue ls")
	g.want(exitAuth, "no permission grants read", "root", "queue browse shut.a")
	g.want(exitOK, "REMOVED  1", "root", "queue purge open.b --yes")

	g.manage("another secret", "user passwd alice")
	g.manage("", "user rm bob")
	g.reload()
	g.want(exitError, "", "bob", "pub /queue/open.a x --receipt")
	g.want(exitError, "", "alice", "pub /queue/open.a x --receipt")
	if r := g.as("alice", "another secret", "pub /queue/open.a x --receipt"); r.code != exitOK {
		t.Errorf("with the new password: %+v", r)
	}
	wantAudit(t, g.audit, [][3]string{
		{"purgeQueue", "alice", "no"}, {"purgeQueue", "root", "yes"}, {"reload security", "signal", "yes"},
	})
}

// wantAudit compares who did what, and whether it was done, with the lines of
// an audit log.
func wantAudit(t *testing.T, file string, want [][3]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got [][3]string
	for line := range strings.Lines(string(text)) {
		var e struct {
			Audit        bool
			Action, User string
			OK           bool
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || !e.Audit {
			t.Errorf("%s: %v", line, err)
		}
		done := "no"
		if e.OK {
			done = "yes"
		}
		got = append(got, [3]string{e.Action, e.User, done})
	}
	if len(got) != len(want) {
		t.Fatalf("the audit log has %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the audit log's line %d is %q, want %q", i+1, got[i], want[i])
		}
	}
}

func TestAReloadEndsLiveSubscriptionsThatAreNotAllowedAnyMore(t *testing.T) {
	g := startGuarded(t)
	ended := make(chan result, 1)
	go func() { ended <- g.as("bob", "secret of bob", "sub /queue/open.live") }()
	consumers := func() bool {
		r := g.as("root", "secret of root", "queue info open.live -o jsonl")
		return strings.Contains(r.out, `"consumers":1`)
	}
	until(t, "the subscription", consumers)
	g.grant("nonsense") // changes nothing
	before := strings.Count(g.log.String(), "not everything was reloaded")
	g.signal(syscall.SIGHUP)
	until(t, "the refusal of a wrong file", func() bool { return strings.Count(g.log.String(), "not everything was reloaded") > before })
	if !consumers() {
		t.Fatal("a wrong permissions file ended a subscription")
	}
	g.grant(lessRights)
	g.reload()
	r := <-ended
	if r.code == exitOK || !strings.Contains(r.err, "permission") {
		t.Errorf("the subscription ended with %+v", r)
	}
	wantAudit(t, g.audit, [][3]string{{"reload security", "signal", "no"}, {"reload security", "signal", "yes"}})
}

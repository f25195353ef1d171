//go:build integration

package amqp

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// output runs a program that has to succeed.
func output(t *testing.T, stdin string, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// TestQpidJMSOverTLS logs in by SCRAM, by PLAIN and by certificate, on a port
// that takes every protocol.
func TestQpidJMSOverTLS(t *testing.T) {
	java, classPath, err := harness.Java(t.Context(), filepath.Join("java", "pom.xml"), "java", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	openssl, err := harness.Tool(t.Context(), "openssl", "openssl")
	if err != nil {
		t.Fatal(err)
	}
	keytool, err := harness.Tool(t.Context(), "keytool", "default-jre-headless")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"broker", "meter-17"} {
		if err := harness.Certify(dir, name, time.Now().AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	const secret = "keystore"
	output(t, "", exec.CommandContext(t.Context(), openssl, "pkcs12", "-export", "-in", in("meter-17.pem"), "-inkey", in("meter-17.key"),
		"-out", in("keys.p12"), "-passout", "pass:"+secret))
	output(t, "", exec.CommandContext(t.Context(), keytool, "-importcert", "-noprompt", "-alias", "broker", "-file", in("broker.pem"),
		"-keystore", in("trust.p12"), "-storetype", "PKCS12", "-storepass", secret))
	permissions := in("permissions")
	if err := os.WriteFile(permissions, []byte("queue://of.$user all *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, "some password\n", program.Command(nil, "user", "add", "ann", "--users", in("users")))
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: t.TempDir(), Listen: []string{"auto+ssl://127.0.0.1:0?" + url.Values{
			"transport.certificate": {in("broker.pem")}, "transport.key": {in("broker.key")},
			"wantClientAuth": {"true"}, "transport.clientCA": {in("meter-17.pem")},
		}.Encode()},
		Settings: []string{"security.users=" + in("users"), "security.certificateUser=cn", "security.permissions=" + permissions},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	features(t, 8, ".", java, "-cp", classPath, "Secure", b.Addr("auto+ssl"), "ann", "some password", in("trust.p12"), in("keys.p12"), secret, "meter-17")
}

// TestQpidJMSFailsOver kills the broker under a client with a failover URI,
// which names a place where there is none, too.
func TestQpidJMSFailsOver(t *testing.T) {
	java, classPath, err := harness.Java(t.Context(), filepath.Join("java", "pom.xml"), "java", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	nobody, address, dir := free(t), free(t), t.TempDir()
	start := func() *harness.Broker {
		b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: dir, Listen: []string{"amqp://" + address}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	b := start()
	cmd := exec.CommandContext(t.Context(), java, "-cp", classPath, "Failover", "failover", nobody, address)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended, if all is well
	lines := bufio.NewScanner(stdout)
	sent := 0
	more := func() {
		t.Helper()
		for target := sent + 200; sent < target; {
			if !lines.Scan() {
				t.Fatal("the client has ended")
			}
			_, _ = fmt.Sscanf(lines.Text(), "sent %d", &sent) // other lines don't count
		}
	}
	for range 5 {
		more()
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		b = start()
	}
	more()
	_ = stdin.Close()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ok ") {
			t.Log(lines.Text())
			return
		}
		if !strings.HasPrefix(lines.Text(), "sent ") {
			t.Error(lines.Text())
		}
	}
	t.Error("the client did not say what came")
}

// free returns an address at which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

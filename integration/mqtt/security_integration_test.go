//go:build integration

package mqtt

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"github.com/entrepot-mq/entrepot/core/security/scramtest"
	"github.com/entrepot-mq/entrepot/integration/harness"
)

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startSecured(t *testing.T, listen string, settings ...string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{Program: program, Dir: t.TempDir(), Listen: []string{listen}, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestPythonPahoLogsInByCertificate uses TLS client certificates as identity.
func TestPythonPahoLogsInByCertificate(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	keys := t.TempDir()
	for _, name := range []string{"broker", "meter-17"} {
		if err := harness.Certify(keys, name, time.Now().AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	b := startSecured(t, "mqtt+ssl://127.0.0.1:0?"+url.Values{
		"transport.certificate": {filepath.Join(keys, "broker.pem")}, "transport.key": {filepath.Join(keys, "broker.key")},
		"needClientAuth": {"true"}, "transport.clientCA": {filepath.Join(keys, "meter-17.pem")},
	}.Encode(), "security.certificateUser=cn",
		"security.permissions="+write(t, filepath.Join(t.TempDir(), "permissions"), "topic://meters.$user all *\n"))
	host, port := hostPort(t, b.Addr("mqtt+ssl"))
	features(t, 4, ".", python, filepath.Join("py", "certificate.py"), host, port, filepath.Join(keys, "broker.pem"),
		filepath.Join(keys, "meter-17.pem"), filepath.Join(keys, "meter-17.key"), "meters/meter-17", "meters/meter-18")
}

// scram answers the broker's challenges for paho.
type scram struct {
	*scramtest.Client
	t *testing.T
}

const scramMethod = "SCRAM-SHA-256"

func (s *scram) Authenticate(a *paho.Auth) *paho.Auth {
	final, err := s.Final(a.Properties.AuthData)
	if err != nil {
		s.t.Error(err)
	}
	return &paho.Auth{ReasonCode: 0x18, Properties: &paho.AuthProperties{AuthMethod: scramMethod, AuthData: final}}
}

func (s *scram) Authenticated() {}

// TestPahoGolangLogsInBySCRAM uses what "entrepot user add" wrote, at CONNECT
// and again within the connection.
func TestPahoGolangLogsInBySCRAM(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	add := program.Command(nil, "user", "add", "ann", "--users", users)
	add.Stdin = strings.NewReader("some password\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := startSecured(t, "mqtt://127.0.0.1:0", "security.users="+users)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	connect := func(password string) (*paho.Client, *scram, *paho.Connack, error) {
		conn, err := net.Dial("tcp", b.Addr("mqtt"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		s := &scram{&scramtest.Client{Name: "ann", Password: password}, t}
		c := paho.NewClient(paho.ClientConfig{Conn: conn, AuthHandler: s})
		ack, err := c.Connect(ctx, &paho.Connect{
			ClientID: "scram", CleanStart: true, KeepAlive: 60,
			Properties: &paho.ConnectProperties{AuthMethod: scramMethod, AuthData: s.First()},
		})
		return c, s, ack, err
	}
	c, s, ack, err := connect("some password")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ack.Properties.AuthData); err != nil {
		t.Fatal(err)
	}
	again, err := c.Authenticate(ctx, &paho.Auth{
		ReasonCode: 0x19, Properties: &paho.AuthProperties{AuthMethod: scramMethod, AuthData: s.First()},
	})
	if err != nil || !again.Success {
		t.Fatalf("authentication again: %+v, %v", again, err)
	}
	if _, err := c.Publish(ctx, &paho.Publish{Topic: "a", QoS: 1, Payload: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if _, _, ack, err := connect("another password"); err == nil || ack == nil || ack.ReasonCode != 0x87 {
		t.Fatalf("a wrong password: %+v, %v", ack, err)
	}
}

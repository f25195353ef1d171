//go:build suites

package suites

import (
	"encoding/xml"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var stompPy = suite{
	name: "stomp.py 8.2.0", origin: "https://github.com/jasonrbriggs/stomp.py", variable: "STOMPPY_SUITE",
	commit: "e2b359094dd3de8411c4c7808c81d65ae98d6c40",
}

// stompPyTests is how many tests of each module there are, and all have to pass.
var stompPyTests = map[string]int{
	"test_activemq": 1, "test_artemis": 2, "test_basic": 11, "test_cli": 13, "test_cli_ssl": 1, "test_context": 3,
	"test_misc": 7, "test_multicast": 4, "test_nonascii": 4, "test_override_threading": 1, "test_rabbitmq": 1,
	"test_rabbitmq_ws": 1, "test_s10": 2, "test_s11": 4, "test_s12": 7, "test_ss": 3, "test_ssl": 8,
	"test_stompserver": 1, "test_threading": 1, "test_transport": 6, "test_utils": 13,
}

// stompPyLeftOut are the tests that are about something else than a broker.
var stompPyLeftOut = []string{
	"--deselect=tests/test_basic.py::TestBasic::test_timeout", // needs a network that loses what is sent to 192.0.2.0
	"--ignore=tests/test_ipv6.py",                             // needs Docker's addresses
	"--ignore=tests/test_ssl_sni.py",                          // tests a proxy between client and broker
}

// TestStompPySuite runs every test of stomp.py. Those written for RabbitMQ,
// Artemis and StompServer find Entrepot in their places. What fails is run
// again, twice at most: tests look at their connection while its thread ends it.
func TestStompPySuite(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := stompPy.checkout(t)
	env := append(os.Environ(), stompPyBrokers(t, dir)...)
	passed := map[string]int{}
	for run := range 3 {
		args := append([]string{"-m", "pytest", "-q", "--junitxml=report.xml"}, stompPyLeftOut...)
		if run > 0 {
			args = append(args, "--last-failed")
		}
		cmd := exec.CommandContext(t.Context(), python, append(args, "tests")...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		for _, c := range readReport(t, filepath.Join(dir, "report.xml")) {
			why := c.notPassed()
			if why == "" {
				why = "passed"
				passed[strings.Split(c.Class, ".")[1]]++
			}
			t.Logf("%s.%s %s", c.Class, c.Name, why)
		}
		if err == nil {
			break
		}
		t.Logf("pytest: %v\n%s", err, out)
	}
	for _, module := range slices.Sorted(maps.Keys(stompPyTests)) {
		if passed[module] != stompPyTests[module] {
			t.Errorf("of %s %d tests passed, want %d", module, passed[module], stompPyTests[module])
		}
	}
}

// stompPyBrokers starts what the suite talks to, and returns the environment
// that tells where it is.
func stompPyBrokers(t *testing.T, dir string) []string {
	t.Helper()
	keys := filepath.Join(dir, "tmp")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"broker", "broker2", "client"} {
		if err := harness.Certify(keys, name, time.Now().AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := harness.Certify(keys, "expiredbroker", time.Now().AddDate(0, 0, -1)); err != nil {
		t.Fatal(err)
	}
	tls := func(name string) string {
		return "stomp+ssl://127.0.0.1:0?" + url.Values{
			"transport.certificate": {filepath.Join(keys, name+".pem")}, "transport.key": {filepath.Join(keys, name+".key")},
			"wantClientAuth": {"true"}, "transport.clientCA": {filepath.Join(keys, "client.pem")},
		}.Encode()
	}
	// One test expects that a wrong login is refused, another one has none.
	b := start(t, harness.Options{
		Listen:   []string{"stomp://127.0.0.1:61613", "ws://127.0.0.1:0", tls("broker")},
		Settings: []string{"security.users=" + users(t, "admin:password", "guest:guest", "testuser:password")},
	})
	open := start(t, harness.Options{Listen: []string{"stomp://127.0.0.1:0", tls("expiredbroker")}})
	env := []string{"STD_HOST=127.0.0.1"}
	for name, address := range map[string]string{
		"STD": b.Addr("stomp"), "STD_SSL": b.Addr("stomp+ssl"), "STD_SSL_EXPIRED": open.Addr("stomp+ssl"),
		"RABBITMQ": b.Addr("stomp"), "RABBITMQ_WS": b.Addr("ws"), "ARTEMIS": b.Addr("stomp"), "STOMPSERVER": open.Addr("stomp"),
	} {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"_HOST="+host, name+"_PORT="+port)
	}
	return env
}

// testCase is one of pytest's report.
type testCase struct {
	Class   string `xml:"classname,attr"`
	Name    string `xml:"name,attr"`
	Failure *struct {
		Message string `xml:"message,attr"`
	} `xml:"failure"`
	Error *struct {
		Message string `xml:"message,attr"`
	} `xml:"error"`
	Skipped *struct {
		Message string `xml:"message,attr"`
	} `xml:"skipped"`
}

// notPassed says why a test didn't pass, "" if it did.
func (c *testCase) notPassed() string {
	switch {
	case c.Failure != nil:
		return "failed: " + c.Failure.Message
	case c.Error != nil:
		return "could not run: " + c.Error.Message
	case c.Skipped != nil:
		return "skipped: " + c.Skipped.Message
	}
	return ""
}

func readReport(t *testing.T, file string) []testCase {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Cases []testCase `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report.Cases
}

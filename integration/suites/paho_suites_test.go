//go:build suites

package suites

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var pahoTesting = suite{
	name: "Eclipse's paho.mqtt.testing", origin: "https://github.com/eclipse/paho.mqtt.testing", variable: "PAHO_SUITE",
	commit: "9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103",
}

// pahoTests are all tests of the modules client_test (MQTT 3.1.1) and
// client_test5 (MQTT 5).
var pahoTests = map[string][]string{
	"client_test": {
		"testBasic", "test_dollar_topics", "test_keepalive", "test_offline_message_queueing",
		"test_overlapping_subscriptions", "test_redelivery_on_reconnect", "test_retained_messages",
		pahoRefused, "test_unsubscribe", "test_zero_length_clientid",
	},
	"client_test5": {
		"test_assigned_clientid", "test_basic", "test_client_topic_alias", "test_dollar_topics", "test_flow_control1",
		"test_flow_control2", "test_keepalive", "test_maximum_packet_size", "test_offline_message_queueing",
		"test_overlapping_subscriptions", "test_payload_format", "test_publication_expiry", "test_redelivery_on_reconnect",
		"test_request_response", "test_retained_message", "test_server_keep_alive", "test_server_topic_alias",
		"test_session_expiry", "test_shared_subscriptions", pahoRefused, "test_subscribe_identifiers",
		"test_subscribe_options", "test_unsubscribe", "test_user_properties", "test_will_delay", "test_will_message",
		"test_zero_length_clientid",
	},
}

// pahoRefused wants that a subscription to test/nosubscribe is refused. Others
// want everything, in sessions that outlive their connections too, and what is
// to be granted of a pattern there has to be granted of all that it selects.
const pahoRefused = "test_subscribe_failure"

// TestPahoSuite runs every test of Eclipse's suite. What fails is run again,
// with a pause behind each SUBSCRIBE: some tests race with themselves, see
// paho_testing.py.
func TestPahoSuite(t *testing.T) {
	python, err := harness.Tool(t.Context(), "python3", "python3")
	if err != nil {
		t.Fatal(err)
	}
	driver, err := filepath.Abs(filepath.Join("py", "paho_testing.py"))
	if err != nil {
		t.Fatal(err)
	}
	permissions := filepath.Join(t.TempDir(), "permissions")
	write(t, permissions, []byte("topic://>  all  all\ntopic://TopicA.>  all  some\n"))
	// The suite wants the server's keep alive of 60 s, and publishes beyond its
	// receive maximum, whatever that is.
	b := start(t, harness.Options{
		Listen:   []string{"mqtt://127.0.0.1:0?mqtt.maxKeepAlive=60s&mqtt.receiveMaximum=20"},
		Settings: []string{"security.users=" + users(t, "all:password", "some:password"), "security.permissions=" + permissions},
	})
	_, port, err := net.SplitHostPort(b.Addr("mqtt"))
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(pahoTesting.checkout(t), "interoperability")
	run := func(module, user, pause string, tests []string) (failed []string) {
		args := append([]string{driver, folder, module, port, user, "password", pause}, tests...)
		out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
		for _, name := range tests {
			if !strings.Contains(string(out), "\nok "+name+"\n") {
				failed = append(failed, name)
			}
		}
		if err != nil || len(failed) > 0 {
			t.Logf("%s as %s: failed %q: %v\n%s", module, user, failed, err, out)
		}
		return failed
	}
	for module, all := range pahoTests {
		var tests []string
		for _, name := range all {
			if name != pahoRefused {
				tests = append(tests, name)
			}
		}
		failed := run(module, "all", "0", tests)
		if len(failed) > 0 {
			failed = run(module, "all", "0.2", failed)
		}
		failed = append(failed, run(module, "some", "0", []string{pahoRefused})...)
		t.Logf("%s: %d of %d passed", module, len(all)-len(failed), len(all))
		if len(failed) > 0 {
			t.Errorf("%s: %q failed", module, failed)
		}
	}
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServerAddresses(t *testing.T) {
	for _, test := range []struct {
		text string
		want endpoint
	}{
		{"stomp://broker:1", endpoint{"broker:1", "broker", false}},
		{"tcp://broker", endpoint{"broker:61613", "broker", false}},
		{"broker:1", endpoint{"broker:1", "broker", false}},
		{"broker", endpoint{"broker:61613", "broker", false}},
		{"[::1]:1", endpoint{"[::1]:1", "::1", false}},
		{"stomp+ssl://broker", endpoint{"broker:61612", "broker", true}},
	} {
		got, err := stompScheme.parse(test.text)
		if err != nil || got != test.want {
			t.Errorf("%s is %+v, %v", test.text, got, err)
		}
	}
	for _, wrong := range []string{"stomp://", "mqtt://broker", "://", "a b"} {
		if got, err := stompScheme.parse(wrong); err == nil {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
}

func TestDestinationsMayBeSpelledAsURIs(t *testing.T) {
	for text, want := range map[string]string{
		"queue://a.b": "/queue/a.b", "topic://a": "/topic/a", "/queue/a": "/queue/a", "a": "a", "topic:/a": "topic:/a",
	} {
		if got := stompDestination(text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestPubTakesBodiesFromArgumentsFilesAndStdin(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	env := []string{"ENTREPOT_SERVER=" + c.stomp}
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, test := range []struct {
		name, stdin, args, want string
	}{
		{"arguments", "", "one two", "one\ntwo\n"},
		{"count", "", "one two -n 2", "one\ntwo\none\ntwo\n"},
		{"file", "", "-f " + file, "from a file\n"},
		{"stdin", "from\nstdin", "", "from\nstdin\n"},
		{"stdin by name", "x", "-f -", "x\n"},
		{"lines", "a\nb\n\nc", "--lines", "a\nb\n\nc\n"},
		{"destination by flag", "", "one -H k=v --receipt --persistent", "one\n"},
		{"empty stdin is an empty body", "", "", "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			queue := "/queue/bodies." + strconv.Itoa(i)
			r := runWith(t.Context(), test.stdin, env, append([]string{"pub", "-d", queue}, strings.Fields(test.args)...)...)
			if r.code != exitOK || !strings.HasPrefix(r.err, "sent ") || r.out != "" {
				t.Fatalf("got %+v", r)
			}
			if got := c.entrepot("sub", queue, "--browser"); got != test.want {
				t.Errorf("the queue holds %q, want %q", got, test.want)
			}
		})
	}
}

func TestSubPrintsJSONAndKeepsBytes(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, []byte("\xff\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.entrepot("pub", "queue://j", "text", "-q", "-H", "colour=red", "--content-type", "text/plain")
	c.entrepot("pub", "queue://j", "-q", "-f", body)
	var got []printedMessage
	for line := range strings.Lines(c.entrepot("sub", "queue://j", "-n", "2", "-o", "json")) {
		var m printedMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 2 || got[0].Body != "text" || got[0].BodyBase64 != "" || got[1].Body != "" || got[1].BodyBase64 != "/wA=" {
		t.Fatalf("got %+v", got)
	}
	for k, want := range map[string]string{"colour": "red", "content-type": "text/plain", "destination": "/queue/j"} {
		if got[0].Headers[k] != want {
			t.Errorf("header %s is %q", k, got[0].Headers[k])
		}
	}
	if _, given := got[0].Headers["content-length"]; given {
		t.Error("a text went as bytes")
	}
}

func TestSubLeavesWhatItDidNotPrint(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	c.entrepot("pub", "/queue/rest", "1", "2", "3")
	if got := c.entrepot("sub", "/queue/rest", "-n", "1"); got != "1\n" {
		t.Errorf("got %q", got)
	}
	if got := c.entrepot("sub", "/queue/rest", "-n", "2"); got != "2\n3\n" {
		t.Errorf("then got %q", got)
	}
	r := runWith(t.Context(), "", []string{"ENTREPOT_SERVER=" + c.stomp}, "sub", "/queue/rest", "--timeout", "50ms")
	if want := (result{exitTimeout, "", "entrepot: no message from /queue/rest for 50ms\n"}); r != want {
		t.Errorf("then got %s", cmp.Diff(want, r, cmp.AllowUnexported(result{})))
	}
}

// The library stops reading while it can't hand a message over: acknowledging
// on the goroutine that takes messages stood still after a few thousand.
func TestSubDoesNotStandStillWhileManyMessagesWait(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	c.entrepot("pub", "/queue/many", "x", "-n", "20000")
	for _, ack := range []string{"client-individual", "client", "auto"} {
		out := c.entrepot("sub", "/queue/many", "-n", "5000", "--ack", ack, "--prefetch", "1000")
		if out != strings.Repeat("x\n", 5000) {
			t.Errorf("%s printed %d bytes", ack, len(out))
		}
	}
}

func TestSubOfADurableSubscriptionGetsWhatCameMeanwhile(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir())
	durable := []string{"sub", "/topic/news", "--durable", "reader", "--client-id", "office"}
	r := runWith(t.Context(), "", []string{"ENTREPOT_SERVER=" + c.stomp}, append(durable, "--timeout", "200ms")...)
	if r.code != exitTimeout {
		t.Fatalf("got %+v", r)
	}
	c.entrepot("pub", "/topic/news", "meanwhile", "--persistent", "--receipt")
	if got := c.entrepot(append(durable, "-n", "1")...); got != "meanwhile\n" {
		t.Errorf("got %q", got)
	}
}

func TestRefusalsOfTheBrokerAreShown(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir(), "--set", "limits.maxMessage=1KiB")
	r := runWith(t.Context(), strings.Repeat("x", 4000), []string{"ENTREPOT_SERVER=" + c.stomp}, "pub", "/queue/a", "--receipt")
	if r.code != exitError || !strings.Contains(r.err, "the broker refused: ") {
		t.Errorf("got %+v", r)
	}
}

func TestPasscodeComesFromFlagFileOrVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flag, want string
		env        []string
	}{
		{"flag", "flag", []string{"ENTREPOT_PASSCODE=variable"}},
		{"", "from-file", []string{"ENTREPOT_PASSCODE=variable", "ENTREPOT_PASSCODE_FILE=" + file}},
		{"", "variable", []string{"ENTREPOT_PASSCODE=variable"}},
		{"", "", nil},
	} {
		got, err := (&program{env: test.env}).passcodeFrom(test.flag)
		if err != nil || got != test.want {
			t.Errorf("got %q, %v, want %q", got, err, test.want)
		}
	}
}

func TestServerAddressesOfMQTT(t *testing.T) {
	for text, want := range map[string]endpoint{
		"": {"127.0.0.1:1883", "127.0.0.1", false}, "broker": {"broker:1883", "broker", false},
		"mqtt://broker:1": {"broker:1", "broker", false}, "mqtts://broker": {"broker:8883", "broker", true},
	} {
		if got, err := mqttScheme.parse(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, wrong := range []string{"stomp://broker", "mqtt://", "a b"} {
		if got, err := mqttScheme.parse(wrong); err == nil {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
}

func TestPubAndSubSpeakMQTT(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir(), "--listen", "mqtt://127.0.0.1:0")
	env := []string{"ENTREPOT_MQTT_SERVER=" + c.mqtt}
	run := func(want int, args ...string) string {
		t.Helper()
		r := runWith(t.Context(), "", env, args...)
		if r.code != want {
			t.Fatalf("%v: %+v", args, r)
		}
		return r.out
	}
	run(exitOK, "pub", "--mqtt", "a/b", "kept", "--retain", "--qos", "2")
	want := `{"topic":"a/b","qos":1,"retained":true,"body":"kept"}` + "\n"
	if out := run(exitOK, "sub", "--mqtt", "a/+", "-n", "1", "--timeout", "10s", "-o", "json"); out != want {
		t.Errorf("got %s", out)
	}
	session := []string{"sub", "--mqtt", "q", "--qos", "2", "--client-id", "reader", "--durable", "x"}
	run(exitTimeout, append(session, "--timeout", "100ms")...)
	run(exitOK, "pub", "--mqtt", "q", "one", "two", "--qos", "1")
	if out := run(exitOK, append(session, "-n", "2", "--timeout", "10s")...); out != "one\ntwo\n" {
		t.Errorf("got %q", out)
	}
	run(exitUsage, "pub", "--mqtt", "q", "x", "--qos", "3")
}

func TestServerAddressesOfAMQP(t *testing.T) {
	for text, want := range map[string]endpoint{
		"": {"127.0.0.1:5672", "127.0.0.1", false}, "broker": {"broker:5672", "broker", false},
		"amqp://broker:1": {"broker:1", "broker", false}, "amqps://broker": {"broker:5671", "broker", true},
	} {
		if got, err := amqpScheme.parse(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, wrong := range []string{"stomp://broker", "amqp://", "a b"} {
		if got, err := amqpScheme.parse(wrong); err == nil {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
}

func TestPubAndSubSpeakAMQP(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir(), "--listen", "amqp://127.0.0.1:0")
	env := []string{"ENTREPOT_AMQP_SERVER=" + c.amqp}
	run := func(want int, args ...string) string {
		t.Helper()
		r := runWith(t.Context(), "", env, args...)
		if r.code != want {
			t.Fatalf("%v: %+v", args, r)
		}
		return r.out
	}
	run(exitOK, "pub", "--amqp", "/queue/a", "one", "--persistent", "-H", "colour=red")
	want := `{"address":"queue://a","durable":true,"deliveries":0,"properties":{"colour":"red"},"body":"one"}` + "\n"
	if out := run(exitOK, "sub", "--amqp", "queue://a", "--selector", "colour = 'red'", "-n", "1", "--timeout", "10s", "-o", "json"); out != want {
		t.Errorf("got %s", out)
	}
	session := []string{"sub", "--amqp", "topic://t", "--client-id", "reader", "--durable", "x"}
	run(exitTimeout, append(session, "--timeout", "100ms")...)
	run(exitOK, "pub", "--amqp", "topic://t", "two", "three")
	if out := run(exitOK, append(session, "-n", "2", "--timeout", "10s")...); out != "two\nthree\n" {
		t.Errorf("got %q", out)
	}
	run(exitError, "sub", "--amqp", "queue://a", "--selector", "= 1")
	run(exitUsage, "sub", "--amqp", "queue://a", "--browser")
}

func TestServerAddressesOfOpenWire(t *testing.T) {
	a, b := endpoint{"a:61616", "a", false}, endpoint{"b:1", "b", true}
	for text, want := range map[string][]endpoint{
		"": {{"127.0.0.1:61616", "127.0.0.1", false}}, "a": {a}, "tcp://a": {a}, "ssl://b:1": {b},
		"failover:(tcp://a,ssl://b:1)?randomize=false": {a, b}, "failover://(tcp://a:61616)": {a}, "failover:tcp://a": {a},
	} {
		got, failOver, err := openwireServers(text)
		if err != nil || !slices.Equal(got, want) || failOver != strings.HasPrefix(text, "failover") {
			t.Errorf("%q is %+v, %t, %v", text, got, failOver, err)
		}
	}
	for _, wrong := range []string{"stomp://a", "failover:(stomp://a)", "tcp://"} {
		if got, _, err := openwireServers(wrong); err == nil {
			t.Errorf("%q is %+v", wrong, got)
		}
	}
}

func TestPubAndSubSpeakOpenWire(t *testing.T) {
	c := startChild(t, "--data-dir", t.TempDir(), "--listen", "tcp://127.0.0.1:0")
	env := []string{"ENTREPOT_OPENWIRE_SERVER=failover:(tcp://127.0.0.1:1,tcp://" + c.openwire + ")"}
	run := func(want int, args ...string) string {
		t.Helper()
		r := runWith(t.Context(), "", env, args...)
		if r.code != want {
			t.Fatalf("%v: %+v", args, r)
		}
		return r.out
	}
	run(exitOK, "pub", "--openwire", "/queue/a", "one", "--persistent", "-H", "colour=red")
	want := `"destination":"queue://a"`
	for _, args := range [][]string{{"--browser"}, {"--selector", "colour = 'red'", "-n", "1", "--timeout", "10s"}} {
		out := run(exitOK, append([]string{"sub", "--openwire", "queue://a", "-o", "json"}, args...)...)
		if !strings.Contains(out, want) || !strings.Contains(out, `"properties":{"colour":"red"},"body":"one"}`) {
			t.Errorf("got %s", out)
		}
	}
	session := []string{"sub", "--openwire", "topic://t", "--client-id", "reader", "--durable", "x"}
	run(exitTimeout, append(session, "--timeout", "100ms")...)
	run(exitOK, "pub", "--openwire", "topic://t", "two", "three")
	if out := run(exitOK, append(session, "-n", "2", "--timeout", "10s")...); out != "two\nthree\n" {
		t.Errorf("got %q", out)
	}
	run(exitError, "sub", "--openwire", "queue://a", "--selector", "= 1")
}

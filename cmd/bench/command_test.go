package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestFlagsWinOverTheScenario(t *testing.T) {
	for _, tt := range []struct {
		args  string
		check func(s *settings) bool
	}{
		{"", func(s *settings) bool {
			return s.scenario == "custom" && s.kind == kindThroughput && s.size == 1024 && s.window == 0 && s.warmup == 2*time.Second &&
				s.address == "127.0.0.1:61613" && s.run > 0
		}},
		{"--scenario s_p_1k_w100_ci", func(s *settings) bool {
			return s.size == 1024 && s.window == 100 && s.persistent && s.ack == "client-individual" && s.producers == 1
		}},
		{"--scenario s_p_1k_w100_ci --window 5 --ack auto --persistent=false --size 20", func(s *settings) bool {
			return s.size == 20 && s.window == 5 && !s.persistent && s.ack == "auto"
		}},
		{"--scenario s_p_1k_10x10", func(s *settings) bool { return s.producers == 10 && s.consumers == 10 && s.queues == 10 }},
		{"--scenario s_topic_1to100", func(s *settings) bool { return s.topic && s.consumers == 100 && s.size == 16 }},
		{"--scenario s_lat_p_200", func(s *settings) bool { return s.rate == 200 && s.size == 100 && s.persistent }},
		{"--scenario fill", func(s *settings) bool {
			return s.kind == kindFill && s.messages == 1e6 && s.run == 0 && s.warmup == 0 && s.destinationOf(0) == "/queue/bench.backlog"
		}},
		{"--scenario drain --queues 3 --consumers 3 --producers 3", func(s *settings) bool { return s.destinationOf(4) == "/queue/bench.backlog.1" }},
		{"--scenario startup -- broker serve --flag", func(s *settings) bool { return len(s.command) == 3 && s.command[2] == "--flag" }},
		{"--messages 10", func(s *settings) bool { return s.warmup == 0 }},
		{"--messages 10 --warmup 1s", func(s *settings) bool { return s.warmup == time.Second }},
		{"--server stomp://example.org:1/", func(s *settings) bool { return s.address == "example.org:1" && !s.loopback() }},
		{"--server ::1", func(s *settings) bool { return s.address == "[::1]:61613" && s.loopback() }},
		{"--server [::1]", func(s *settings) bool { return s.address == "[::1]:61613" }},
		{"--server localhost", func(s *settings) bool { return s.address == "localhost:61613" && s.loopback() }},
		{"--destination a.b --topic", func(s *settings) bool { return s.destinationOf(7) == "/topic/a.b" }},
		{"--header a:b:c --header d:", func(s *settings) bool {
			return reflect.DeepEqual(s.sendHeaders, []header{{"a", "b:c"}, {"d", ""}}) && s.subHeaders == nil
		}},
		{"--subscribe-header a:b", func(s *settings) bool { return len(s.subHeaders) == 1 && s.sendHeaders == nil }},
	} {
		s, err := parseArgs(strings.Fields(tt.args)...)
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
		} else if !tt.check(s) {
			t.Errorf("%s: %+v", tt.args, s)
		}
	}
}

func TestCommandLinesThatMakeNoSense(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--scenario nope", `unknown scenario "nope"`},
		{"--protocol smtp", `unknown protocol "smtp": use one of amqp, mqtt, mqtt-q1, mqtt-q1-stored, mqtt-q2, mqtt-q2-stored, mqtt5, mqtt5-q1, openwire, stomp, stomp11`},
		{"--size 15", "--size 15 is not between 16 and"},
		{"--window -1", "--window -1 is not between"},
		{"--queues 0", "--queues 0 is not between"},
		{"--queues 2", "--queues 2 needs as many publishers and consumers"},
		{"--producers 5000 --consumers 30000", "--consumers 30000 is not between"},
		{"--producers 0", "--scenario drain"},
		{"--rate -1", "--rate -1 is not between"},
		{"--duration 0", "--duration must be more than nothing"},
		{"--settle -1s", "cannot be negative"},
		{"--ack maybe", `--ack "maybe" is not`},
		{"--server=", "--server is empty"},
		{"--server a:b:c/d", "is not host:port"},
		{"--header abc", `--header "abc" is not name:value`},
		{"--subscribe-header :x", `--subscribe-header ":x" is not name:value`},
		{"--topic --consumers 0", "a topic without consumers"},
		{"--scenario fill --consumers 1", "fill publishes a number"},
		{"--scenario drain --topic", "drain needs consumers on queues"},
		{"--scenario backlog --messages 5", "backlog goes by --duration"},
		{"--scenario backlog --consumers 0", "backlog needs consumers"},
		{"--scenario backlog --ahead 5", "--ahead bounds a backlog"},
		{"--scenario startup", "startup needs the broker's command"},
		{"surprise", `unexpected argument "surprise"`},
		{"--scenario connections surprise", `unexpected argument "surprise"`},
		{"--nope", "unknown flag: --nope"},
	} {
		cmd := Command()
		cmd.SetArgs(strings.Fields(tt.args))
		err := cmd.Execute()
		var coded interface{ ExitCode() int }
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &coded) || coded.ExitCode() != 2 {
			t.Errorf("%s: %v, want a usage error with %q", tt.args, err, tt.want)
		}
	}
}

func TestEveryScenarioIsValidAndListed(t *testing.T) {
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"list"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range scenarios() {
		if seen[p.name] {
			t.Errorf("%s is there twice", p.name)
		}
		seen[p.name] = true
		if !strings.Contains(out.String(), p.name+" ") || !strings.Contains(out.String(), p.about) {
			t.Errorf("%s is not listed", p.name)
		}
		args := []string{"--scenario", p.name}
		if p.kind == kindStartup {
			args = append(args, "broker")
		}
		s := &settings{}
		fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
		flagsOf(fs, s)
		for name := range p.values() {
			if fs.Lookup(name) == nil {
				t.Errorf("%s sets --%s, which is no flag", p.name, name)
			}
		}
		if _, err := parseArgs(args...); err != nil {
			t.Errorf("%s: %v", p.name, err)
		}
	}
}

// The JSON is an interface: its fields are documented, and a renamed one needs
// a new schema version.
func TestEveryJSONFieldIsDocumentedInTheHelp(t *testing.T) {
	help := Command().Long
	for f := range reflect.TypeFor[result]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || f.Tag.Get("doc") == "" || !strings.Contains(help, "\n  "+name+" ") {
			t.Errorf("field %s is not documented", f.Name)
		}
		inner := f.Type
		if inner.Kind() != reflect.Pointer || inner.Elem().Kind() != reflect.Struct || inner == reflect.TypeFor[*quantiles]() {
			continue
		}
		for g := range inner.Elem().Fields() {
			name, _, _ := strings.Cut(g.Tag.Get("json"), ",")
			if !strings.Contains(f.Tag.Get("doc"), name) {
				t.Errorf("field %s.%s is not documented", f.Name, name)
			}
		}
	}
}

func TestSchemaOneKeepsItsFields(t *testing.T) {
	b, err := json.Marshal(&result{Schema: 1})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"schema":1,"scenario":"","server":"","protocol":"","size":0,"persistent":false,"ack":"","window":0,"prefetch":0,"rate":0,` +
		`"producers":0,"consumers":0,"queues":0,"topic":false,"published":0,"confirmed":0,"delivered":0,"missing":0,"duplicates":0,` +
		`"disordered":0,"strays":0,"seconds":0,"published_per_s":0,"delivered_per_s":0}`
	if string(b) != want {
		t.Errorf("the fields are\n%s, were\n%s", b, want)
	}
}

func TestTextForPeople(t *testing.T) {
	r := &result{
		Scenario: "x", Server: "h:1", Published: 10, Delivered: 10, Seconds: 0.5, PublishPS: 999, DeliverPS: 41_234,
		BrokerCPU: figure(18.2, 3), ForeignCores: figure(-1, 1), BrokerCores: figure(75, 1), BrokerRSS: mib(32 << 20), BrokerPeakRSS: mib(33 << 20),
		OwnCores: figure(50, 1), Latency: &quantiles{P50: 1, P90: 2, P99: 3, P999: 4, Max: 5},
		Connections: &connectionResult{Opened: 5, Open: 4, ConnectsPS: 7300},
	}
	const want = `x            h:1 (-)
connections  - KiB each · 7.3k connects/s · - us CPU/connect · idle CPU -% · 4 of 5 open
delivered    41k msg/s · 18.2 us CPU/msg · foreign CPU -1%
published    999 msg/s
account      10 published, 10 delivered in 0.500 s; 0 missing, 0 duplicates, 0 disordered, 0 strays
latency      p50 1  p90 2  p99 3  p99.9 4  max 5 us
broker       75% CPU, 32 MiB resident (peak 33)
generator    50% CPU
`
	var out bytes.Buffer
	if err := r.writeText(&out); err != nil || out.String() != want {
		t.Errorf("%v\n%s", err, out.String())
	}
}

package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func set(t *testing.T, arg string) Flag {
	t.Helper()
	f, err := SetFlag(arg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDefaultsAreValidAndComeFromNowhere(t *testing.T) {
	l, err := Load(Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), l.Config); diff != "" {
		t.Error(diff)
	}
	for _, e := range l.Entries() {
		if e.Origin != "default" {
			t.Errorf("%s comes from %q", e.Key, e.Origin)
		}
	}
}

func TestPrecedenceIsFlagsThenEnvironmentThenFileThenDefault(t *testing.T) {
	file := writeFile(t, "e.yaml", "log:\n  level: error\n")
	env := []string{"ENTREPOT_LOG_LEVEL=warn"}
	flags := []Flag{set(t, "log.level=debug")}
	for _, test := range []struct {
		name          string
		in            Inputs
		level, origin string
	}{
		{"nothing", Inputs{}, "info", "default"},
		{"file", Inputs{File: file}, "error", "e.yaml:2"},
		{"environment", Inputs{Env: env}, "warn", "ENTREPOT_LOG_LEVEL"},
		{"flags", Inputs{Flags: flags}, "debug", "--set"},
		{"environment over file", Inputs{File: file, Env: env}, "warn", "ENTREPOT_LOG_LEVEL"},
		{"flags over file", Inputs{File: file, Flags: flags}, "debug", "--set"},
		{"flags over environment", Inputs{Env: env, Flags: flags}, "debug", "--set"},
		{"flags over all", Inputs{File: file, Env: env, Flags: flags}, "debug", "--set"},
		{"the last flag", Inputs{Flags: []Flag{set(t, "log.level=debug"), set(t, "log.level=warn")}}, "warn", "--set"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := Load(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if l.Log.Level != test.level || l.Origin("log.level") != test.origin {
				t.Errorf("got %s from %s, want %s from %s", l.Log.Level, l.Origin("log.level"), test.level, test.origin)
			}
		})
	}
}

func TestEveryKindOfValueIsReadFromTheFile(t *testing.T) {
	file := writeFile(t, "broker.yaml", `
brokerName: "north-1" # a comment
dataDir: /var/lib/entrepot
listeners:
  - stomp://127.0.0.1:61613?maximumConnections=10&wireFormat.maxFrameSize=1024
  - 'ws://[::1]:0'
console: {address: none}
log:
store:
  sync: interval
  syncInterval: 250ms
  segmentSize: 8 MiB
  checkpointBytes: 1048576
limits:
  connections: 7
security:
  allowRemote: true
shutdown:
  timeout: 0
destinationPolicy:
  - queue: "orders.>"
    sync: never
  - topic: ticks
    sync: always
`)
	want := Default()
	want.BrokerName = "north-1"
	want.DataDir = "/var/lib/entrepot"
	want.Listeners = []string{"stomp://127.0.0.1:61613?maximumConnections=10&wireFormat.maxFrameSize=1024", "ws://[::1]:0"}
	want.Console.Address = "none"
	want.Store.Sync = "interval"
	want.Store.SyncInterval = 250 * time.Millisecond
	want.Store.SegmentSize = 8 * MiB
	want.Store.CheckpointBytes = MiB
	want.Limits.Connections = 7
	want.Security.AllowRemote = true
	want.Shutdown.Timeout = 0
	want.Policies = []DestinationPolicy{{Queue: "orders.>", Sync: "never"}, {Topic: "ticks", Sync: "always"}}
	l, err := Load(Inputs{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Error(diff)
	}
	if got := l.Origin("destinationPolicy"); got != "broker.yaml:20" {
		t.Errorf("policies come from %s", got)
	}
}

func TestEnvironmentNamesAreDerivedFromKeys(t *testing.T) {
	want := map[string]string{
		"brokerName":           "ENTREPOT_BROKER_NAME",
		"dataDir":              "ENTREPOT_DATA_DIR",
		"listeners":            "ENTREPOT_LISTENERS",
		"console.address":      "ENTREPOT_CONSOLE_ADDRESS",
		"store.syncInterval":   "ENTREPOT_STORE_SYNC_INTERVAL",
		"limits.maxMessage":    "ENTREPOT_LIMITS_MAX_MESSAGE",
		"security.allowRemote": "ENTREPOT_SECURITY_ALLOW_REMOTE",
	}
	seen := map[string]string{}
	for _, k := range schema().settings() {
		name := k.env()
		if other, twice := seen[name]; twice {
			t.Errorf("%s and %s are both %s", k.path, other, name)
		}
		seen[name] = k.path
		if w, ok := want[k.path]; ok && w != name {
			t.Errorf("%s is %s, want %s", k.path, name, w)
		}
		if k.doc == "" {
			t.Errorf("%s has no doc", k.path)
		}
	}
}

func TestEnvironmentSetsListsAndReadsFiles(t *testing.T) {
	secret := writeFile(t, "name", "from-a-file\n")
	l, err := Load(Inputs{Env: []string{
		"ENTREPOT_LISTENERS=stomp://127.0.0.1:1  ws://127.0.0.1:2",
		"ENTREPOT_BROKER_NAME_FILE=" + secret,
		"ENTREPOT_SERVER=stomp://elsewhere:61613",
		"ENTREPOT_PORT_61613_TCP=tcp://10.0.0.1:61613",
		"ENTREPOT_SERVICE_HOST=10.0.0.1",
		"ENTREPOT_STORE_SINC=never",
		"HOME=/root",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stomp://127.0.0.1:1", "ws://127.0.0.1:2"}; !reflect.DeepEqual(l.Listeners, want) {
		t.Errorf("listeners are %q", l.Listeners)
	}
	if l.BrokerName != "from-a-file" || l.Origin("brokerName") != "ENTREPOT_BROKER_NAME_FILE" {
		t.Errorf("brokerName is %q from %s", l.BrokerName, l.Origin("brokerName"))
	}
	want := []string{"environment variable ENTREPOT_STORE_SINC is not a setting; did you mean ENTREPOT_STORE_SYNC?"}
	if diff := cmp.Diff(want, l.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongIsSaidWithPlaceAndSuggestion(t *testing.T) {
	for _, test := range []struct {
		name, file, want string
		env              []string
		flags            []Flag
	}{
		{name: "unknown key", file: "store:\n  sinc: always\n", want: `e.yaml:2:3: unknown key "sinc"; did you mean sync?
     1 | store:
     2 |   sinc: always
       |   ^`},
		{name: "unknown key with a twin elsewhere", file: "maxMessage: 1MiB\n", want: `e.yaml:1:1: unknown key "maxMessage"; did you mean limits.maxMessage?
     1 | maxMessage: 1MiB
       | ^`},
		{name: "dotted key", file: "log.level: warn\n", want: `e.yaml:1:1: unknown key "log.level"; write it as a section: "log:" and "level:" indented below
     1 | log.level: warn
       | ^`},
		{name: "unknown key like nothing", file: "shutdown:\n  xylophone: 1\n", want: `e.yaml:2:3: unknown key "xylophone"; known here: timeout
     1 | shutdown:
     2 |   xylophone: 1
       |   ^`},
		{name: "unknown choice", file: "store:\n  sync: allways\nlog: {}\n", want: `e.yaml:2:9: store.sync: "allways" is not one of always, interval, never; did you mean always?
     1 | store:
     2 |   sync: allways
       |         ^
     3 | log: {}`},
		{name: "size", file: "store:\n  memory: lots\n", want: `e.yaml:2:11: store.memory: "lots" is not a size: write a whole number and a unit, such as 64MiB, 1GiB or 512KiB
     1 | store:
     2 |   memory: lots
       |           ^`},
		{name: "time without unit", file: "shutdown:\n  timeout: 25\n", want: `e.yaml:2:12: shutdown.timeout: "25" has no unit: write 25s for seconds or 25ms for milliseconds
     1 | shutdown:
     2 |   timeout: 25
       |            ^`},
		{name: "section given a value", file: "log: debug\n", want: `e.yaml:1:6: log: needs keys below it; known here: level, format
     1 | log: debug
       |      ^`},
		{name: "value given a section", file: "dataDir:\n  a: b\n", want: `e.yaml:2:4: dataDir: needs one value; directory of the store; one broker at a time uses it
     1 | dataDir:
     2 |   a: b
       |    ^`},
		{name: "list given a value", file: "listeners: stomp://127.0.0.1\n", want: `e.yaml:1:12: listeners: needs a list; start each entry on a line of its own with "- "
     1 | listeners: stomp://127.0.0.1
       |            ^`},
		{name: "two problems", file: "a: 1\nb: 2\n", want: `e.yaml:1:1: unknown key "a"; known here: brokerName, dataDir, listeners, console, log, store, limits, memory, security, stomp, schedule, sessions, retained, cluster, shutdown, advisorySupport, destinations, schedulePeriodForDestinationPurge, maxPurgedDestinationsPerSweep, destinationInterceptors, destinationPolicy
     1 | a: 1
       | ^
     2 | b: 2
e.yaml:2:1: unknown key "b"; known here: brokerName, dataDir, listeners, console, log, store, limits, memory, security, stomp, schedule, sessions, retained, cluster, shutdown, advisorySupport, destinations, schedulePeriodForDestinationPurge, maxPurgedDestinationsPerSweep, destinationInterceptors, destinationPolicy
     1 | a: 1
     2 | b: 2
       | ^`},
		{name: "environment", env: []string{"ENTREPOT_STORE_SEGMENT_SIZE=-1"}, want: `ENTREPOT_STORE_SEGMENT_SIZE: store.segmentSize: "-1" is negative: a size is 0 or more`},
		{name: "both forms", env: []string{"ENTREPOT_DATA_DIR=a", "ENTREPOT_DATA_DIR_FILE=b"}, want: `ENTREPOT_DATA_DIR: dataDir: is set beside ENTREPOT_DATA_DIR_FILE; set one of them`},
		{name: "unknown flag key", flags: []Flag{set(t, "store.sink=never")}, want: `--set: unknown key "store.sink"; did you mean store.sync?`},
		{name: "section as flag", flags: []Flag{set(t, "store=never")}, want: `--set: store: is not a single value; set it in the configuration file, or set a key below it`},
		{name: "range names its origin", flags: []Flag{set(t, "store.segmentSize=4KiB")}, want: `--set: store.segmentSize: 4KiB is out of range; give 2MiB to 4GiB`},
		{name: "no multiple", flags: []Flag{set(t, "store.segmentSize=8193KiB")}, want: `--set: store.segmentSize: 8193KiB is no multiple of 4KiB; give 8MiB`},
		{name: "open console", file: "console:\n  address: 0.0.0.0:8161\n", want: `e.yaml:2: console.address: "0.0.0.0:8161" can be reached from other machines, and the console asks nobody for a password; bind 127.0.0.1, or set security.allowRemote: true in a network where everybody is trusted`},
		{name: "policy for nothing", file: "destinationPolicy:\n  - sync: never\n", want: "e.yaml:1: destinationPolicy[0]: needs one of queue, topic, tempQueue and tempTopic; write for example queue: \"orders.>\""},
		{name: "policy without effect", file: "destinationPolicy:\n  - queue: a\n", want: "e.yaml:1: destinationPolicy[0]: says nothing about queue://a; give it a setting, such as sync: interval"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := Inputs{Env: test.env, Flags: test.flags}
			if test.file != "" {
				in.File = writeFile(t, "e.yaml", test.file)
			}
			_, err := Load(in)
			if _, ok := errors.AsType[*InvalidError](err); !ok {
				t.Fatalf("error is %v", err)
			}
			got := strings.TrimPrefix(err.Error(), "the configuration is not usable:\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBrokenYAMLIsAnErrorWithItsLine(t *testing.T) {
	for _, test := range []struct{ name, src, want string }{
		{"tab", "log:\n\tlevel: info\n", "indent with blanks, not tabs"},
		{"open quote", "brokerName: \"a\nlog: {}\n", "e.yaml:1:"},
		{"duplicate key", "log:\n  level: info\n  level: warn\n", "e.yaml:3:3"},
		{"two documents", "log: {}\n---\nlog: {}\n", "a second document"},
		{"alias", "brokerName: *a\n", "brokerName"},
		{"long line", "a: b\n" + strings.Repeat("- ", 2000), "e.yaml:2: the line is longer than 2KiB"},
		{"brackets", strings.Repeat("[", 200), "brackets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(Inputs{File: writeFile(t, "e.yaml", test.src)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestMissingAndOversizedFilesAreErrors(t *testing.T) {
	if _, err := Load(Inputs{File: filepath.Join(t.TempDir(), "no.yaml")}); err == nil || !strings.Contains(err.Error(), "there is no such file; check --config") {
		t.Errorf("error is %v", err)
	}
	big := writeFile(t, "big.yaml", strings.Repeat("# comment\n", 30_000))
	if _, err := Load(Inputs{File: big}); err == nil || !strings.Contains(err.Error(), "is larger than 64KiB") {
		t.Errorf("error is %v", err)
	}
}

func TestWhatShowPrintsLoadsAsTheSame(t *testing.T) {
	for _, comments := range []bool{false, true} {
		l, err := Load(Inputs{File: writeFile(t, "a.yaml", "brokerName: \"null\"\ndestinationPolicy:\n- topic: \"a b.>\"\n  sync: never\n")})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := l.WriteYAML(&b, comments); err != nil {
			t.Fatal(err)
		}
		again, err := Load(Inputs{File: writeFile(t, "b.yaml", b.String())})
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if diff := cmp.Diff(l.Config, again.Config); diff != "" {
			t.Error(diff)
		}
	}
}

func TestOriginsArePrintedAsATable(t *testing.T) {
	l, err := Load(Inputs{Flags: []Flag{{Name: "--console", Key: "console.address", Values: []string{"127.0.0.1:0"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.WriteOrigins(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"console.address", "127.0.0.1:0", "--console", "destinationPolicy", "0 entries"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func FuzzLoadYAML(f *testing.F) {
	for _, s := range []string{
		"", "store:\n  sync: never\n", "listeners:\n- stomp://h:1\n", "{log: {level: warn}}",
		"destinationPolicy:\n- {queue: a, sync: never}\n", "a: &x 1\nb: *x\n", "? a\n: b\n", "brokerName: |\n  x\n", "---\n...\n", "\xff",
	} {
		f.Add(s)
	}
	root := schema()
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 4096 {
			return
		}
		l := &Loaded{Config: Default(), origins: map[string]string{}}
		if l.applyYAML(root, "f.yaml", src) != nil || l.Validate() != nil {
			return
		}
		var b strings.Builder
		if err := l.WriteYAML(&b, true); err != nil {
			t.Fatal(err)
		}
		again := &Loaded{Config: Default(), origins: map[string]string{}}
		if err := again.applyYAML(root, "g.yaml", b.String()); err != nil {
			t.Fatalf("own output does not load: %v\n%s", err, b.String())
		}
		if diff := cmp.Diff(l.Config, again.Config); diff != "" {
			t.Fatal(diff)
		}
	})
}

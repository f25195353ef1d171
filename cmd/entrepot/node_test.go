package main

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/console"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/store"
)

func loadForTest(t *testing.T, sets ...string) *config.Loaded {
	t.Helper()
	flags := []config.Flag{
		{Name: "--data-dir", Key: "dataDir", Values: []string{t.TempDir()}},
		{Name: "--listen", Key: "listeners", Values: []string{"stomp://127.0.0.1:0", "ws://127.0.0.1:0?stomp.nack=requeue"}},
		{Name: "--console", Key: "console.address", Values: []string{"none"}},
	}
	for _, s := range sets {
		f, err := config.SetFlag(s)
		if err != nil {
			t.Fatal(err)
		}
		flags = append(flags, f)
	}
	cfg, err := config.Load(config.Inputs{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func quiet(t *testing.T) *logging {
	t.Helper()
	log, err := newLogging(io.Discard, "json", "error")
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestEverySettingReachesTheBroker(t *testing.T) {
	cfg := loadForTest(t, "brokerName=north", "store.sync=interval", "store.syncInterval=7ms", "store.segmentSize=8MiB",
		"store.checkpointInterval=200ms", "store.checkpointBytes=1MiB", "store.memory=33MiB", "limits.maxMessage=5MiB",
		"store.scratch=9MiB", "store.expireInterval=8s", "store.blockedWarning=6s")
	cfg.Policies = []config.DestinationPolicy{{Queue: "a.>", Sync: "never"}, {Topic: "b", Sync: "always"}}
	o := (&node{cfg: cfg, log: quiet(t)}).brokerOptions()
	if o.Name != "north" || o.Dir != cfg.DataDir || o.Durability != store.Soon || o.Memory != 33<<20 || o.MaxMessage != 5<<20 {
		t.Errorf("options are %+v", o)
	}
	if o.ScratchMax != 9<<20 || o.ExpirePeriod.String() != "8s" || o.BlockedWarning.String() != "6s" {
		t.Errorf("options are %+v", o)
	}
	s := o.Store
	if s.SyncInterval.String() != "7ms" || s.SegmentSize != 8<<20 || s.CheckpointInterval.String() != "200ms" || s.CheckpointBytes != 1<<20 {
		t.Errorf("store options are %+v", s)
	}
	set, err := policy.New(policy.Policy{}, o.Policies)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Policies) != 2 || set.For(message.Queue("a.b")).Durability != store.Lazy || set.For(message.Topic("b")).Durability != store.Synced {
		t.Errorf("policies are %+v", o.Policies)
	}
}

func TestLimitsAreDefaultsForListeners(t *testing.T) {
	cfg := loadForTest(t, "limits.connections=7", "limits.handshakeTimeout=3s", "stomp.nack=redeliver")
	cfg.Listeners = append(cfg.Listeners, "stomp://127.0.0.1:0?maximumConnections=9&transport.connectAttemptTimeout=1000")
	configs, err := parseListeners(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		connections   int
		timeout, nack string
	}{{7, "3s", "redeliver"}, {7, "3s", "requeue"}, {9, "1s", "redeliver"}} {
		c := configs[i]
		if c.MaxConnections != want.connections || c.HandshakeTimeout.String() != want.timeout || c.Values["stomp.nack"] != want.nack {
			t.Errorf("listener %d has %d, %s, %s", i, c.MaxConnections, c.HandshakeTimeout, c.Values["stomp.nack"])
		}
	}
}

func TestReadinessFollowsTheBrokersLife(t *testing.T) {
	log := quiet(t)
	failing := func(checks []console.Check) (names []string) {
		for _, c := range checks {
			if c.Err != nil {
				names = append(names, c.Name)
			}
		}
		return names
	}
	starting := &node{log: log, cfg: loadForTest(t)}
	if got := failing(starting.Checks()); len(got) != 2 || got[0] != "store" || got[1] != "listeners" || starting.Started() {
		t.Errorf("while starting %v fail", got)
	}
	if s := starting.Stats(); s.Name != "localhost" || len(s.Listeners) != 0 {
		t.Errorf("while starting the figures are %+v", s)
	}
	n, err := startNode(t.Context(), loadForTest(t), log, &guardedLines{})
	if err != nil {
		t.Fatal(err)
	}
	if got := failing(n.Checks()); len(got) != 0 || !n.Started() {
		t.Errorf("while running %v fail", got)
	}
	if err := n.stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := failing(n.Checks()); len(got) != 2 || got[0] != "listeners" || got[1] != "running" {
		t.Errorf("after the end %v fail", got)
	}
}

func TestAWrongListenerOptionStopsTheStartAndLeavesNothingBehind(t *testing.T) {
	log := quiet(t)
	cfg := loadForTest(t)
	cfg.Listeners = []string{"stomp://127.0.0.1:0?stomp.nack=burn"}
	_, err := startNode(t.Context(), cfg, log, &guardedLines{})
	if _, ok := errors.AsType[*config.InvalidError](err); !ok {
		t.Fatalf("error is %v", err)
	}
	// The store was open by then: it must be free again.
	cfg.Listeners = []string{"stomp://127.0.0.1:0"}
	n, err := startNode(t.Context(), cfg, log, &guardedLines{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMemoryLimitIsTheLowestOfTheControlGroups(t *testing.T) {
	for _, test := range []struct {
		name, cgroup string
		files        map[string]string
		want         int64
	}{
		{"no control groups", "", nil, 0},
		{"version 2", "0::/a/b\n", map[string]string{"sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 1 << 30},
		{"version 2, a parent is tighter", "0::/a/b\n", map[string]string{"sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.max": "1048576\n"}, 1 << 20},
		{"version 2 seen from inside", "0::/\n", map[string]string{"sys/fs/cgroup/memory.max": "2097152\n"}, 2 << 20},
		{"version 2 without limit", "0::/a\n", map[string]string{"sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		{"version 1", "5:cpu:/x\n4:memory:/m\n", map[string]string{"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "3145728\n"}, 3 << 20},
		{"version 1 without limit", "4:memory:/m\n", map[string]string{"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"nonsense", "what\n0::/../..\n", map[string]string{"sys/fs/cgroup/memory.max": "x"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			files := map[string]string{"proc/self/cgroup": test.cgroup}
			maps.Copy(files, test.files)
			for name, text := range files {
				path := filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := cgroupLimit(root); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

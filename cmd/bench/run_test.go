package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

// fakeAddress names the variable that turns the test binary into a broker, for
// the startup scenario.
const fakeAddress = "BENCH_TEST_FAKE_ADDRESS"

func TestMain(m *testing.M) {
	if address := os.Getenv(fakeAddress); address != "" {
		serveFake(address)
		return
	}
	goleak.VerifyTestMain(m)
}

// bench runs the command and returns its JSON result.
func benchRun(tb testing.TB, b *fakeBroker, args ...string) (result, error) {
	tb.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(append([]string{"--server", b.address(), "--json", "--warmup", "0", "--timeout", "3s", "--idle", "100ms", "--settle", "0"}, args...))
	err := cmd.ExecuteContext(context.Background())
	var r result
	if out.Len() > 0 {
		if jerr := json.Unmarshal(out.Bytes(), &r); jerr != nil {
			tb.Fatalf("the output is not one JSON object: %v\n%s", jerr, out.String())
		}
	}
	return r, err
}

// parseArgs is what the command does before it runs.
func parseArgs(args ...string) (*settings, error) {
	s := &settings{}
	fs := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	flagsOf(fs, s)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return s, s.prepare(fs, fs.Args())
}

// eventually polls for a condition that another goroutine brings about.
func eventually(tb testing.TB, done func() bool) {
	tb.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			tb.Fatal("did not happen in time")
		}
		runtime.Gosched()
	}
}

func TestEveryMessageOfALoadIsAccountedFor(t *testing.T) {
	for _, tt := range []struct {
		name      string
		args      string
		delivered int64
		confirmed int64
		acks      int // -1: as many as the reads, so unknown
	}{
		{"one queue, nothing confirmed", "--messages 5000", 5000, 0, 0},
		{"confirmed in a window smaller than a batch", "--messages 5000 --window 7", 5000, 5000, 0},
		{"confirmed in a large window", "--messages 5001 --window 1000 --persistent", 5001, 5001, 0},
		{"each acknowledged", "--messages 3000 --window 100 --ack client-individual", 3000, 3000, 3000},
		{"acknowledged cumulatively", "--messages 3000 --ack client", 3000, 0, -1},
		{"smallest body", "--messages 3000 --size 16", 3000, 0, 0},
		{"body larger than the read buffer", "--messages 20 --size 500000", 20, 0, 0},
		{"ten on one queue", "--messages 3003 --window 10 --producers 10 --consumers 10", 3003, 3003, 0},
		{"ten pairs", "--messages 3003 --producers 10 --consumers 10 --queues 10", 3003, 0, 0},
		{"more consumers than queues", "--messages 3000 --producers 3 --consumers 7 --queues 2", 3000, 0, 0},
		{"topic with 20 subscribers", "--messages 500 --topic --consumers 20 --size 16", 10_000, 0, 0},
		{"two topics", "--messages 500 --topic --producers 2 --queues 2 --consumers 6", 1500, 0, 0},
		{"never far ahead of the consumers", "--messages 5000 --ahead 100 --producers 2 --size 16", 5000, 0, 0},
		{"never far ahead of the subscribers", "--messages 2000 --ahead 100 --topic --consumers 3 --size 16", 6000, 0, 0},
		{"paced", "--messages 300 --rate 3000 --window 10", 300, 300, 0},
		{"STOMP 1.1", "--protocol stomp11 --messages 500 --ack client-individual", 500, 0, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startFake(t, func(b *fakeBroker) {
				if strings.Contains(tt.args, "stomp11") {
					b.version = "1.1"
				}
			})
			r, err := benchRun(t, b, strings.Fields(tt.args)...)
			if err != nil {
				t.Fatal(err)
			}
			if r.Delivered != tt.delivered || r.Confirmed != tt.confirmed {
				t.Errorf("delivered %d and confirmed %d, want %d and %d", r.Delivered, r.Confirmed, tt.delivered, tt.confirmed)
			}
			if r.Missing+r.Duplicates+r.Disordered+r.Strays != 0 {
				t.Errorf("missing %d, duplicates %d, disordered %d, strays %d, want none", r.Missing, r.Duplicates, r.Disordered, r.Strays)
			}
			if got := b.acks(); got != tt.acks && (tt.acks >= 0 || got == 0 || got > 3000) {
				t.Errorf("%d acknowledgements, want %d", got, tt.acks)
			}
			if r.Latency == nil || r.Latency.Count != tt.delivered || r.Broker != "fake/1:0" {
				t.Errorf("latency %+v of broker %q", r.Latency, r.Broker)
			}
		})
	}
}

func TestALoadByTimeMeasuresAfterTheWarmUp(t *testing.T) {
	b := startFake(t, nil)
	r, err := benchRun(t, b, "--warmup", "100ms", "--duration", "200ms", "--window", "50", "--rate", "2000")
	if err != nil {
		t.Fatal(err)
	}
	if r.Published != r.Delivered || r.Published < 300 || r.Published > 500 || r.Confirmed < r.Published+100 {
		t.Errorf("published %d of %d, want about 400 of 600", r.Published, r.Confirmed)
	}
	if r.LatencyBasis != "due" || r.Pacing == nil || r.Pacing.Count < 300 || r.Pacing.Count > 500 {
		t.Errorf("latency from %q, pacing %+v", r.LatencyBasis, r.Pacing)
	}
}

func TestFaultsOfTheBrokerAreCounted(t *testing.T) {
	t.Run("lost", func(t *testing.T) {
		b := startFake(t, func(b *fakeBroker) {
			b.copies = func(n int) int {
				if n%100 == 5 {
					return 0
				}
				return 1
			}
		})
		r, err := benchRun(t, b, "--messages", "1000", "--window", "100")
		if r.Missing != 10 || r.Delivered != 990 {
			t.Errorf("missing %d, delivered %d, want 10 and 990", r.Missing, r.Delivered)
		}
		if !errors.Is(err, errIncomplete) || !strings.Contains(err.Error(), "10 messages are missing of 1000 sent") {
			t.Errorf("error %v does not say what is missing", err)
		}
	})
	t.Run("duplicated", func(t *testing.T) {
		b := startFake(t, func(b *fakeBroker) {
			b.copies = func(n int) int {
				if n >= 997 {
					return 3
				}
				return 1
			}
		})
		r, err := benchRun(t, b, "--messages", "1000", "--consumers", "2")
		if err != nil || r.Duplicates != 6 || r.Delivered != 1000 {
			t.Errorf("duplicates %d, delivered %d, error %v, want 6 and 1000", r.Duplicates, r.Delivered, err)
		}
	})
	t.Run("out of order", func(t *testing.T) {
		b := startFake(t, func(b *fakeBroker) { b.reorder = true })
		if _, err := benchRun(t, b, "--scenario", "fill", "--messages", "10"); err != nil {
			t.Fatal(err)
		}
		r, err := benchRun(t, b, "--scenario", "drain", "--messages", "10")
		if err != nil || r.Disordered != 9 {
			t.Errorf("disordered %d, error %v, want 9", r.Disordered, err)
		}
	})
}

func TestFillAndDrainAreOneAccount(t *testing.T) {
	b := startFake(t, nil)
	r, err := benchRun(t, b, "--scenario", "fill", "--messages", "5000", "--producers", "3", "--size", "100")
	if err != nil || r.Published != 5000 || r.Confirmed != 5000 || r.Delivered != 0 {
		t.Fatalf("fill: %+v, %v", r, err)
	}
	r, err = benchRun(t, b, "--scenario", "drain", "--messages", "5004", "--producers", "3", "--consumers", "2")
	if r.Delivered != 5000 || r.Missing != 4 || !errors.Is(err, errIncomplete) {
		t.Errorf("drain: delivered %d, missing %d, %v", r.Delivered, r.Missing, err)
	}
	if r.Latency != nil {
		t.Errorf("drain has a latency, by the clock of another process: %+v", r.Latency)
	}
	if d := r.Drain; d == nil || d.AcceptedMs > d.FirstMs || d.FirstMs > d.AllMs || d.FirstMs <= 0 {
		t.Errorf("drain times %+v are not in order", r.Drain)
	}
	r, err = benchRun(t, b, "--scenario", "drain")
	if err != nil || r.Delivered != 0 || r.Missing != 0 {
		t.Errorf("drain of an empty queue: %+v, %v", r, err)
	}
}

func TestBacklogComparesWithTheEmptyQueue(t *testing.T) {
	b := startFake(t, nil)
	r, err := benchRun(t, b, "--scenario", "backlog", "--backlog", "3000", "--size", "64", "--duration", "200ms", "--window", "100")
	if err != nil {
		t.Fatal(err)
	}
	l := r.Backlog
	if l == nil || l.Waiting != 3000 || l.EmptyDeliverPS <= 0 || l.DeliverRatio <= 0 || r.Missing != 0 {
		t.Errorf("backlog %+v, missing %d", l, r.Missing)
	}
}

func TestConnectionsAreCountedAndKept(t *testing.T) {
	b := startFake(t, nil)
	for _, more := range []string{"", "--subscribe"} {
		r, err := benchRun(t, b, append([]string{"--scenario", "connections", "--connections", "50"}, strings.Fields(more)...)...)
		if err != nil || r.Connections == nil || r.Connections.Open != 50 || r.Connections.Opened != 50 {
			t.Errorf("%s: connections %+v, %v", more, r.Connections, err)
		}
	}
}

func TestConnectionsThatTheBrokerClosesAreMissed(t *testing.T) {
	b := startFake(t, nil)
	s, err := parseArgs("--scenario", "connections", "--server", b.address())
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{s: s, dialer: s.dialer(newClock()), links: make([]*link, 5)}
	defer c.close()
	if err := c.connect(t.Context(), &progress{}); err != nil {
		t.Fatal(err)
	}
	if n := c.open(); n != 5 {
		t.Fatalf("%d open, want 5", n)
	}
	b.drop()
	eventually(t, func() bool { return c.open() == 0 })
}

func TestRefusalsAreInTheBrokersWords(t *testing.T) {
	t.Run("connect", func(t *testing.T) {
		b := startFake(t, func(b *fakeBroker) { b.refuse = "bad user" })
		_, err := benchRun(t, b, "--messages", "1")
		if err == nil || !strings.Contains(err.Error(), "the broker refused: bad user") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("publish", func(t *testing.T) {
		b := startFake(t, nil)
		_, err := benchRun(t, b, "--scenario", "fill", "--messages", "100000", "--window", "0")
		if err == nil || !strings.Contains(err.Error(), "the broker refused: queue is full") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		b := startFake(t, nil)
		b.close()
		if _, err := benchRun(t, b, "--messages", "1"); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("it dies", func(t *testing.T) {
		var once atomic.Bool
		b := startFake(t, func(b *fakeBroker) {
			b.onSend = func([]byte) {
				if once.CompareAndSwap(false, true) {
					for c := range b.clients {
						c.conn.Close()
					}
				}
			}
		})
		_, err := benchRun(t, b, "--messages", "1000", "--window", "10")
		if err == nil || errors.Is(err, errIncomplete) {
			t.Errorf("error %v", err)
		}
	})
}

func TestStartupMeasuresTheFirstClient(t *testing.T) {
	b := startFake(t, nil)
	address := b.address()
	if _, err := benchRun(t, b, "--scenario", "startup", "--", os.Args[0]); err == nil || !strings.Contains(err.Error(), "something listens on "+address) {
		t.Fatalf("started beside another broker: %v", err)
	}
	b.close()
	t.Setenv(fakeAddress, address)
	r, err := benchRun(t, b, "--scenario", "startup", "--timeout", "10s", "--", os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if r.Startup == nil || r.Startup.AcceptedMs <= 0 || *r.Startup.IdleRSS < 1 {
		t.Errorf("startup %+v", r.Startup)
	}
	eventually(t, func() bool { return nobodyListens(t.Context(), address) == nil })
}

func TestACommandThatEndsIsNotWaitedFor(t *testing.T) {
	b := startFake(t, nil)
	b.close()
	begun := time.Now()
	_, err := benchRun(t, b, "--scenario", "startup", "--timeout", "1m", "--", "false")
	if err == nil || !strings.Contains(err.Error(), "ended before it accepted a client") || time.Since(begun) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

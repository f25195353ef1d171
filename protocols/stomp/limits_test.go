package stomp

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
)

func TestOptionsHaveDefaults(t *testing.T) {
	s, err := readSettings(nil, 50<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		frame: frameLimits{
			commandLine: 1024, headerLine: 10 << 10, headers: 1000, head: 64 << 10,
			body: 50 << 20, frame: 50<<20 + 64<<10, // the broker takes no more than that
		},
		subscriptions: 1000, temps: 1000, transactions: 100, txFrames: 10000, txBytes: 256 << 20,
		writeTimeout: 30 * time.Second, grace: 2, nack: broker.Rejected,
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
	if s, _ := readSettings(nil, 1<<30); s.frame.body != 100<<20 {
		t.Errorf("body: %d", s.frame.body)
	}
}

func TestOptionsAreRead(t *testing.T) {
	s, err := readSettings(protocols.Values{
		optBody: "1m", optFrame: "2m", optWriteTimeout: "5s", optHeartBeat: "1000,2000", optGrace: "1.5",
		optCommandLine: "100", optHeaderLine: "200", optHeaders: "30", optHead: "4k",
		optSubscriptions: "5", optTemps: "0", optTransactions: "0", optTxFrames: "6", optTxBytes: "7k", optNack: "requeue",
	}, 100<<20)
	want := settings{
		frame:         frameLimits{commandLine: 100, headerLine: 200, headers: 30, head: 4096, body: 1 << 20, frame: 1<<20 + 4096},
		subscriptions: 5, txFrames: 6, txBytes: 7168, writeTimeout: 5 * time.Second, beatIn: 1000, beatOut: 2000, grace: 1.5, nack: broker.Released,
	}
	if err != nil || s != want {
		t.Errorf("got  %+v, %v\nwant %+v", s, err, want)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	f := New(Options{})
	for name, value := range map[string]string{
		optBody: "x", optFrame: "-1", optWriteTimeout: "soon", optHeartBeat: "1", optGrace: "0.5", optCommandLine: "1", optHeaderLine: "?",
		optHeaders: "0", optHead: "k", optSubscriptions: "0", optTemps: "-1", optTransactions: "-1", optTxFrames: "0", optTxBytes: "!", optNack: "maybe",
	} {
		if err := f.CheckOptions(protocols.Values{name: value}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if err := f.CheckOptions(nil); err != nil {
		t.Error(err)
	}
	if got := len(f.Options()); got != 15 || f.Name() != "stomp" {
		t.Errorf("%s has %d options", f.Name(), got)
	}
}

func TestConnectionOfAListenerWithBadOptionsIsClosed(t *testing.T) {
	c := newRig(t, protocols.Values{optNack: "maybe"}).dial()
	c.closed()
}

func TestListenerLimitsAreEnforced(t *testing.T) {
	r := newRig(t, protocols.Values{
		optBody: "100", optFrame: "200", optCommandLine: "20", optHeaderLine: "50", optHeaders: "3", optHead: "120",
	})
	for in, want := range map[string]string{
		"SEND\ncontent-length:101\n\n":                              "body is longer than 100 bytes",
		"SEND\n\n" + strings.Repeat("x", 101):                       "body is longer than 100 bytes",
		strings.Repeat("X", 21):                                     "command line is longer than 20 bytes",
		"SEND\nk:" + strings.Repeat("x", 49):                        "header line is longer than 50 bytes",
		"SEND\na:1\nb:2\nc:3\nd:4\n":                                "frame has more than 3 headers",
		"SEND\n" + strings.Repeat(strings.Repeat("k", 40)+":\n", 3): "command and headers are longer than 120 bytes",
		"SEND\n" + strings.Repeat(strings.Repeat("k", 48)+":\n", 2) + "content-length:100\n\n":        "command and headers are longer than 120 bytes",
		"SEND\n" + strings.Repeat(strings.Repeat("k", 45)+":\n", 2) + "\n" + strings.Repeat("x", 100): "frame is longer than 200 bytes",
	} {
		c := r.connect(v12, "k:v")
		c.raw(in)
		c.error(want)
		c.closed()
	}
}

func TestDeclaredLengthAllocatesNothing(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()}) // so that no file is in memory
	const n = 50
	clients := make([]*client, n)
	for i := range clients {
		clients[i] = r.connect(v12)
	}
	before, read := heap(), r.front.Snapshot().ReceivedBytes
	frame := "SEND\ndestination:/queue/a\ncontent-length:100000000\n\nx"
	for _, c := range clients {
		c.raw(frame)
	}
	eventually(t, "the frames were read", func() bool {
		return r.front.Snapshot().ReceivedBytes == read+uint64(n*len(frame))
	})
	if each := (heap() - before) / n; each > readBuffer+32<<10 {
		t.Errorf("a connection that announces 100 MB took %d KiB", each>>10)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestReceiptsComeInAnyOrder(t *testing.T) {
	var r receipts
	var tokens []uint64
	for i := range 100 {
		tokens = append(tokens, r.add([]byte{byte(i)}, true, false))
	}
	for i := range tokens {
		i = (i * 37) % 100
		s := r.take(tokens[i])
		if s == nil || s.id[0] != byte(i) {
			t.Fatalf("token %d: %+v", tokens[i], s)
		}
		if r.take(tokens[i]) != nil {
			t.Fatalf("token %d twice", tokens[i])
		}
	}
	if r.take(1000) != nil || r.take(noReceipt) != nil || r.len() != 0 {
		t.Error("tokens that were never given")
	}
	r.shrink()
	if r.slots != nil {
		t.Error("an idle connection keeps its slots")
	}
}

func TestReceiptsCostNoAllocation(t *testing.T) {
	var r receipts
	id := []byte("message-12345")
	r.take(r.add(id, true, false))
	if n := testing.AllocsPerRun(1000, func() { r.take(r.add(id, true, false)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

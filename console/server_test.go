package console

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/latency"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixed is a Source that says what it was told.
type fixed struct {
	stats    Stats
	checks   []Check
	starting bool
}

func (f *fixed) Stats() Stats    { return f.stats }
func (f *fixed) Checks() []Check { return f.checks }
func (f *fixed) Started() bool   { return !f.starting }

func start(t *testing.T, source Source) *Server {
	t.Helper()
	s, err := Start(t.Context(), Options{Address: "127.0.0.1:0", Source: source, API: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ask(t *testing.T, s *Server, method, path string) (status int, header http.Header, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(b)
}

func TestProbesSayWhatTheBrokerSays(t *testing.T) {
	good := []Check{{Name: "store"}, {Name: "listeners"}}
	bad := []Check{{Name: "store", Err: errors.New("the disk is full")}, {Name: "listeners"}}
	for _, test := range []struct {
		name, path, want string
		status           int
		source           fixed
	}{
		{"alive", "/healthz", "ok\n", 200, fixed{checks: bad, starting: true}},
		{"started", "/startupz", "started\n", 200, fixed{}},
		{"starting", "/startupz", "starting\n", 503, fixed{starting: true}},
		{"ready", "/readyz", "ready\n", 200, fixed{checks: good}},
		{"ready in words", "/readyz?verbose", "ready\n[+] store\n[+] listeners\n", 200, fixed{checks: good}},
		{"not ready", "/readyz", "not ready\n[-] store: the disk is full\n", 503, fixed{checks: bad}},
		{"not ready in words", "/readyz?verbose", "not ready\n[-] store: the disk is full\n[+] listeners\n", 503, fixed{checks: bad}},
		{"not ready while starting", "/readyz", "not ready\n", 503, fixed{checks: good, starting: true}},
		{"nothing there", "/elsewhere", "nothing here: try /, /metrics or /api/v1/openapi.yaml\n", 404, fixed{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := ask(t, start(t, &test.source), http.MethodGet, test.path)
			if status != test.status || body != test.want {
				t.Errorf("got %d %q, want %d %q", status, body, test.status, test.want)
			}
		})
	}
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	s := start(t, &fixed{})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		if status, _, _ := ask(t, s, method, "/"); status != http.StatusMethodNotAllowed {
			t.Errorf("%s of the page is answered with %d", method, status)
		}
		if status, _, _ := ask(t, s, method, "/metrics"); status != http.StatusMethodNotAllowed {
			t.Errorf("%s is answered with %d", method, status)
		}
	}
}

func sampleStats() Stats {
	lag, silent := uint64(12), 0.25
	s := Stats{
		Name: "north <1>", Version: "1.2.3", Role: "master", StartedAt: time.UnixMilli(1_700_000_000_500),
		Listeners:    []Listener{{Name: "stomp:61613", Address: "127.0.0.1:61613", Connections: 3, Opened: 9, BytesIn: 100, BytesOut: 200}},
		Protocols:    []Protocol{{Name: "stomp", Connections: 3, Received: 40, Delivered: 41}},
		Rejected:     []Count{{Reason: "max_connections", Total: 2}},
		Acknowledged: 38, Expired: 7, DeadLettered: 6, Dropped: 5,
		Queues: 2, Subscriptions: 4, QueueMessages: 12, QueueInflight: 3, QueueConsumers: 8, BlockedProducers: 1,
		MemoryUsed: 4096, MemoryLimit: 1 << 20, LogSize: 3 << 20, PagesSize: 2 << 20, DiskFree: 1 << 40,
		StoreSyncs: 90, StoreLastSync: 1500 * time.Microsecond, StoreRecords: 100, StoreBytes: 123456,
		Checkpoints: 2, LastCheckpoint: 20 * time.Millisecond, StoreWaiting: 77,
		Rejections: 11, Duplicates: 12, Denied: 13, Strangers: 14, Aborted: 15,
		Cluster: &Cluster{Epoch: 3, Members: []Member{{Node: "n1", InSync: true}, {Node: "n2", Lag: &lag, Silent: &silent}}},
	}
	var h latency.Histogram
	for _, d := range []time.Duration{50 * time.Microsecond, time.Millisecond, 2 * time.Hour} {
		h.Observe(d)
	}
	s.Syncing = h.Snapshot()
	return s
}

func TestMetricsAreAsTheyWere(t *testing.T) {
	golden := filepath.Join("testdata", "metrics.txt")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got := expose(t, sampleStats())
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-update rewrites it):\n%s", golden, diff)
	}
}

var update = flag.Bool("update", false, "rewrite the golden file")

// expose returns a scrape of the broker's own metrics.
func expose(t *testing.T, stats Stats) string {
	t.Helper()
	all := prometheus.NewPedanticRegistry()
	all.MustRegister(newCollector(&fixed{stats: stats}))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(all, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Body.String()
}

func TestUnknownValuesAreLeftOut(t *testing.T) {
	got := expose(t, Stats{DiskFree: -1})
	for _, name := range []string{"entrepot_disk_free_bytes", "entrepot_memory_limit_bytes"} {
		if strings.Contains(got, name) {
			t.Errorf("%s is there", name)
		}
	}
}

func TestScrapeHasTheBrokerTheRuntimeAndTheProcess(t *testing.T) {
	stats := sampleStats()
	stats.Rejected = []Count{{Reason: "a \"b\" \\ \n\xff", Total: 1}}
	status, header, body := ask(t, start(t, &fixed{stats: stats}), http.MethodGet, "/metrics")
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("got %d %s", status, header.Get("Content-Type"))
	}
	for _, want := range []string{
		"# TYPE go_goroutines gauge", "go_gc_heap_live_bytes ", "process_open_fds ", "process_cpu_seconds_total ",
		`entrepot_connections_rejected_total{reason="a \"b\" \\ \n` + "\uFFFD" + `"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestThePageAndItsFilesAreServed(t *testing.T) {
	s := start(t, &fixed{})
	_, header, index := ask(t, s, http.MethodGet, "/")
	if !strings.HasPrefix(header.Get("Content-Type"), "text/html") || header.Get("Content-Security-Policy") != pagePolicy {
		t.Errorf("the page has %v", header)
	}
	references := regexp.MustCompile(`(?:href|src)="(/ui/[^"]+)"|from '\./([^']+)'`)
	seen := map[string]bool{}
	for todo := []string{index}; len(todo) > 0; todo = todo[1:] {
		for _, m := range references.FindAllStringSubmatch(todo[0], -1) {
			path := m[1]
			if path == "" {
				path = "/ui/" + m[2]
			}
			if seen[path] {
				continue
			}
			seen[path] = true
			status, header, body := ask(t, s, http.MethodGet, path)
			if want := contentTypes[filepath.Ext(path)]; status != 200 || header.Get("Content-Type") != want {
				t.Errorf("%s: %d %s, want %s", path, status, header.Get("Content-Type"), want)
			}
			todo = append(todo, body)
		}
	}
	for path := range s.assets {
		if path != "/" && !seen[path] {
			t.Errorf("nothing refers to %s", path)
		}
	}
}

// The policy would stop what this finds, but only in a browser.
func TestThePageHoldsNoScriptsStylesOrForeignAddresses(t *testing.T) {
	files, err := assets()
	if err != nil {
		t.Fatal(err)
	}
	foreign := regexp.MustCompile(`(?i)https?://|<style|\sstyle=|\son\w+="|javascript:|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function`)
	for path, a := range files {
		for _, found := range foreign.FindAllString(string(a.body), -1) {
			if found == "http://" && strings.Contains(string(a.body), "http://www.w3.org/2000/svg") && strings.Count(string(a.body), "http://") == 1 {
				continue // the name of a vocabulary
			}
			t.Errorf("%s holds %s", path, found)
		}
	}
}

func TestAPageThatIsKnownIsNotSentAgain(t *testing.T) {
	s := start(t, &fixed{})
	_, header, _ := ask(t, s, http.MethodGet, "/ui/app.js")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+"/ui/app.js", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("If-None-Match", header.Get("ETag"))
	w := httptest.NewRecorder()
	s.page(w, request)
	if w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestPortInUseIsAnError(t *testing.T) {
	s := start(t, &fixed{})
	if _, err := Start(t.Context(), Options{Address: s.Addr().String(), Source: &fixed{}, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("two consoles share a port")
	}
}

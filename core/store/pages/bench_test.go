package pages

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentMiB is what the process takes of the memory: all of it, and without mapped files.
func residentMiB(b *testing.B) (all, anonymous float64) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skipf("no /proc here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kib); err == nil {
			all = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "RssAnon: %f kB", &kib); err == nil {
			anonymous = kib / 1024
		}
	}
	return all, anonymous
}

// BenchmarkWritePages writes checkpoints of 16 MiB of pages, 64 messages of 1 KiB each.
func BenchmarkWritePages(b *testing.B) {
	s := benchStore(b, Options{})
	page := blob(1, 64<<10)
	cpu, n := cpuTime(b), 0
	for i := uint64(1); b.Loop(); i++ {
		w, err := s.Begin(mark(i))
		if err != nil {
			b.Fatal(err)
		}
		for range 256 {
			n++
			if err := w.Put(fmt.Appendf(nil, "\x04%08d", n), page); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(16 << 20)
	b.ReportMetric(float64(n)*64/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric((cpuTime(b)-cpu).Seconds()*1000/float64(n)*16, "cpu-ms/MiB")
	all, anonymous := residentMiB(b)
	b.ReportMetric(all, "MiB-rss")
	b.ReportMetric(anonymous, "MiB-anon")
}

func benchStore(b *testing.B, o Options) *Badger {
	b.Helper()
	o.Dir = b.TempDir()
	return openBadger(b, o)
}

// fill writes pages and small keys.
func fill(b *testing.B, s Store, pages, small int) {
	b.Helper()
	w, err := s.Begin(mark(s.Mark().Index + 1))
	if err != nil {
		b.Fatal(err)
	}
	page := blob(1, 64<<10)
	for i := range pages {
		if err := w.Put(fmt.Appendf(nil, "\x04%08d", i), page); err != nil {
			b.Fatal(err)
		}
	}
	for i := range small {
		if err := w.Put(fmt.Appendf(nil, "\x02%08d", i), page[:100]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGetPage(b *testing.B) {
	const pages = 4096 // 256 MiB
	s := benchStore(b, Options{})
	fill(b, s, pages, 0)
	r := rand.New(rand.NewPCG(1, 1))
	var (
		dst   []byte
		err   error
		times []time.Duration
	)
	for b.Loop() {
		key := fmt.Appendf(nil, "\x04%08d", r.IntN(pages))
		start := time.Now()
		if dst, err = s.Get(dst[:0], key); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-us")
}

func BenchmarkScan10kSmallKeys(b *testing.B) {
	s := benchStore(b, Options{})
	fill(b, s, 1024, 10_000)
	for b.Loop() {
		n := 0
		if err := s.Scan([]byte{2}, func(_, _ []byte) error { n++; return nil }); err != nil || n != 10_000 {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkIdle reports what an open, empty store takes; run it alone.
func BenchmarkIdle(b *testing.B) {
	for _, mem := range []int{8, 16, 32} {
		b.Run(fmt.Sprintf("memtable=%dMiB", mem), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			_, was := residentMiB(b)
			benchStore(b, Options{MemTable: mem})
			runtime.ReadMemStats(&after)
			for b.Loop() {
				_, is := residentMiB(b)
				b.ReportMetric(is-was, "MiB-anon-more")
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-heap-more")
			all, anonymous := residentMiB(b)
			b.ReportMetric(all, "MiB-rss")
			b.ReportMetric(anonymous, "MiB-anon")
		})
	}
}

func BenchmarkOpenEmpty(b *testing.B) {
	for _, mem := range []int{8, 16, 32} {
		b.Run(fmt.Sprintf("memtable=%dMiB", mem), func(b *testing.B) {
			for b.Loop() {
				s, err := Open(Options{Dir: b.TempDir(), MemTable: mem})
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens 512 MiB, by size of the tables and by how much Open reads.
func BenchmarkOpen(b *testing.B) {
	for _, base := range []int{2, 16} {
		o := Options{Dir: b.TempDir(), BaseTable: base}
		s, err := Open(o)
		if err != nil {
			b.Fatal(err)
		}
		fill(b, s, 512<<20/(64<<10), 0)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		for name, v := range map[string]Verify{"blocks": VerifyBlocks, "indexes": VerifyIndexes} {
			o.Verify = v
			b.Run(fmt.Sprintf("table=%dMiB/%s", base, name), func(b *testing.B) {
				for b.Loop() {
					start := time.Now()
					s, err := Open(o)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(time.Since(start).Milliseconds()), "open-ms")
					if err := s.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

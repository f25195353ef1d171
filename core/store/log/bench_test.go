package log

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// BenchmarkCommit writes records of 1 KiB in batches on the real file system.
func BenchmarkCommit(b *testing.B) {
	rec := make([]byte, 1024)
	for _, sync := range []bool{true, false} {
		for _, batch := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprintf("sync=%t/batch=%d", sync, batch), func(b *testing.B) {
				l := mustOpen(b, Options{Dir: b.TempDir()})
				waitFor(b, "prepared segments", func() bool { return readySegments(l) >= ahead })
				b.SetBytes(int64(len(rec)))
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					l.Append(rec)
					if (i+1)%batch == 0 || i+1 == b.N {
						mustCommit(b, l, sync)
					}
					if i%4096 == 0 {
						l.Release(l.Durable())
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkReplay reads records of 1 KiB back.
func BenchmarkReplay(b *testing.B) {
	l := mustOpen(b, Options{Dir: b.TempDir()})
	rec := make([]byte, 1024)
	const n = 50_000
	for i := range n {
		if l.Append(rec); i%64 == 63 {
			mustCommit(b, l, false)
		}
	}
	mustCommit(b, l, true)
	b.SetBytes(int64(n * len(rec)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Replay(0, func(uint64, uint64, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func readySegments(l *Log) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ready)
}

// BenchmarkOpen opens a log that was closed, and one that was killed: what it adds to the start of a broker
// with an empty log.
func BenchmarkOpen(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			l := mustOpen(b, Options{Dir: b.TempDir()})
			b.StopTimer()
			removeLog(b, l)
			b.StartTimer()
		}
	})
	for _, killed := range []bool{false, true} {
		b.Run(fmt.Sprintf("killed=%t", killed), func(b *testing.B) {
			o := Options{Dir: b.TempDir()}
			mustClose(b, mustOpen(b, o))
			for b.Loop() {
				l := mustOpen(b, o)
				b.StopTimer()
				if killed {
					_ = l.fail(errors.New("killed")) // Close then leaves the mark as it is
				}
				mustClose(b, l)
				b.StartTimer()
			}
		})
	}
}

func removeLog(b *testing.B, l *Log) {
	b.Helper()
	mustClose(b, l)
	if err := os.RemoveAll(l.opt.Dir); err != nil {
		b.Fatal(err)
	}
}

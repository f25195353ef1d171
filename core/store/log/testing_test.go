package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

const testSegment = 16 << 10

func testOptions(fs disk.FS) Options {
	return Options{
		Dir: "wal", FS: fs, SegmentSize: testSegment, MaxFrame: 4096, Spare: 2, Inline: true,
		Now: func() time.Time { return time.Unix(1700000000, 123) },
	}
}

func mustOpen(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() }) // tests that care close it themselves
	return l
}

func mustCommit(t testing.TB, l *Log, sync bool) {
	t.Helper()
	if err := l.Commit(sync); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// appendEach appends and commits records one by one.
func appendEach(t testing.TB, l *Log, recs ...string) {
	t.Helper()
	for _, r := range recs {
		l.Append([]byte(r))
		mustCommit(t, l, true)
	}
}

// numbered returns n records of the given size.
func numbered(prefix string, n, size int) []string {
	recs := make([]string, n)
	for i := range recs {
		head := fmt.Sprintf("%s-%d.", prefix, i)
		recs[i] = head + string(bytes.Repeat([]byte{'x'}, max(0, size-len(head))))
	}
	return recs
}

func replayed(t testing.TB, l *Log, from uint64) []string {
	t.Helper()
	var got []string
	err := l.Replay(from, func(_, _ uint64, rec []byte) error {
		got = append(got, string(rec))
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return got
}

func wantRecords(t testing.TB, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("record %d is %.30q, want %.30q", i, got[i], want[i])
		}
	}
}

func wantDamage(t testing.TB, err error) *DamageError {
	t.Helper()
	var d *DamageError
	if !errors.As(err, &d) {
		t.Fatalf("error is %v, want damage", err)
	}
	if d.What == "" || d.Advice == "" {
		t.Fatalf("damage without words: %+v", d)
	}
	return d
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

package store

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

func TestKeysAreReadAsTheyWereWritten(t *testing.T) {
	for _, tt := range []struct {
		key  []byte
		want Key
	}{
		{QueueKey(nil, 7), Key{Kind: "queue", Queue: 7}},
		{ChunkKey(nil, 7, 9, 1<<40), Key{Kind: "chunk", Queue: 7, Lane: 9, Number: 1 << 40}},
		{PageKey(nil, 1<<63, 4, 12), Key{Kind: "page", Queue: 1 << 63, Lane: 4, Number: 12}},
		{BodyKey(nil, 0xab, 1, 3), Key{Kind: "body", ID: "ab-1", Number: 3}},
		{RefsKey(nil, 1, 0xff), Key{Kind: "references", ID: "1-ff"}},
		{StateKey(nil, 'r', "topic"), Key{Kind: "state", Part: 'r', Name: "topic"}},
		{StateKey(nil, 'n', ""), Key{Kind: "state", Part: 'n'}},
		{nil, Key{Kind: "unknown"}},
		{[]byte{keyState}, Key{Kind: "unknown"}},
		{PageKey(nil, 1, 4, 12)[:17], Key{Kind: "unknown"}},
		{[]byte("\x63abc"), Key{Kind: "unknown"}},
	} {
		if got := ParseKey(tt.key); got != tt.want {
			t.Errorf("key %x is %+v, want %+v", tt.key, got, tt.want)
		}
	}
}

func TestKeysSortByTheirNumbers(t *testing.T) {
	for _, n := range []uint64{0, 1, 255, 256, 1 << 32, 1<<64 - 2} {
		if a, b := string(PageKey(nil, 1, 4, n)), string(PageKey(nil, 1, 4, n+1)); a >= b {
			t.Errorf("page %d does not sort before the next one", n)
		}
		if a, b := string(QueueKey(nil, n)), string(QueueKey(nil, n+1)); a >= b {
			t.Errorf("queue %d does not sort before the next one", n)
		}
	}
}

func TestDumpJoinsTheEntriesOfARecord(t *testing.T) {
	r := newRig(t)
	r.open()
	k := &sink{}
	r.Commit(publish(1, 10, Synced, k))
	r.Commit(publish(2, 20_000, Synced, k))
	r.Commit(change(3, Synced, k))
	eventually(t, "completion of all", func() bool { return k.completed() == 3 })
	r.closeNow()
	var got []string
	err := DumpLog(r.fs, "log", func(rec LogRecord) error {
		if rec.Fault != nil || len(rec.Ops) != 1 {
			t.Fatalf("record %d: %d ops, %v", rec.Entry.Index, len(rec.Ops), rec.Fault)
		}
		got = append(got, rec.Ops[0].Kind.String())
		if m := rec.Ops[0].Msg; m != nil && m.ID.Lo != uint64(len(got)) {
			t.Errorf("record %d has message %v", rec.Entry.Index, m.ID)
		}
		return nil
	})
	if err != nil || strings.Join(got, " ") != "publish publish ack" {
		t.Fatalf("dump: %q, %v", got, err)
	}
	if n, err := CheckRecords(r.fs, "log"); n != 3 || err != nil {
		t.Fatalf("check: %d records, %v", n, err)
	}
}

func TestCheckFindsRecordsThatCannotBeDecoded(t *testing.T) {
	fs := disk.NewFake()
	l, err := log.Open(log.Options{Dir: "log", FS: fs, SegmentSize: 16 << 10, MaxFrame: 4096, Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Append(AppendOps(nil, []Op{{Kind: OpDelete, Queue: 1}}))
	l.Append([]byte{99})
	if err := errors.Join(l.Commit(true), l.Close()); err != nil {
		t.Fatal(err)
	}
	n, err := CheckRecords(fs, "log")
	if n != 2 || !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), "record 2 in ") {
		t.Fatalf("check: %d records, %v", n, err)
	}
}

func TestCheckTellsALogFromAnotherPageStore(t *testing.T) {
	dir := t.TempDir()
	lived(t, dir)
	check := func() error {
		t.Helper()
		l, err := log.Check(disk.OS{}, filepath.Join(dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := pages.Check(filepath.Join(dir, "pages"))
		if err != nil {
			t.Fatal(err)
		}
		return CheckFit(l, p)
	}
	if err := check(); err != nil {
		t.Fatalf("a directory as it was left: %v", err)
	}
	remove(t, filepath.Join(dir, "pages"))
	empty, err := pages.Open(pages.Options{Dir: filepath.Join(dir, "pages")})
	if err == nil {
		err = empty.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	var m *MismatchError
	if err := check(); !errors.As(err, &m) || !strings.Contains(m.What, "the page store is missing") {
		t.Fatalf("error is %v", err)
	}
}

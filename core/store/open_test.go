package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// onDisk is a store on the real disk and Badger, small.
func onDisk(t *testing.T, dir string) (*Store, *ledger, error) {
	t.Helper()
	m := newLedger()
	o := Options{
		Dir: dir, CheckpointInterval: never,
		pagesOptions: func(po *pages.Options) { po.MemTable, po.BaseTable = 8, 2 },
	}
	smallSegments(&o)
	s, err := Open(o, m)
	if err != nil {
		return nil, nil, err
	}
	s.Start()
	return s, m, nil
}

// lived makes a store that has a checkpoint, released segments, and changes
// behind the checkpoint, and closes it in a hurry.
func lived(t *testing.T, dir string) (changes uint64) {
	t.Helper()
	s, m, err := onDisk(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, Store: s, ledger: m}
	for i := range uint64(20) {
		r.commitAll(i*100+1, i*100+100, Synced)
	}
	r.checkpoint()
	eventually(t, "released segments", func() bool { return r.log.First() > 1 })
	for i := range uint64(20) {
		r.commitAll(2001+i*100, 2100+i*100, Synced)
	}
	r.closeNow()
	if names := segments(t, dir); len(names) < 4 { // two with records, two prepared
		t.Fatalf("segments: %v", names)
	}
	return 4000
}

func TestStoreOnDiskAndBadgerOpensWithEverything(t *testing.T) {
	dir := t.TempDir()
	n := lived(t, dir)
	for range 3 {
		s, m, err := onDisk(t, dir)
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, Store: s, ledger: m}
		r.wantState(upTo(n))
		r.commitAll(n+1, n+10, Synced)
		n += 10
		r.mustClose()
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil || len(names) == 0 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	return names
}

// damageLog inverts one bit of the log's first frame that is still needed.
func damageLog(t *testing.T, dir string) {
	t.Helper()
	rep, err := log.Check(disk.OS{}, filepath.Join(dir, "log"))
	if err != nil || rep.Damage != nil {
		t.Fatalf("before the damage: %v, %v", err, rep.Damage)
	}
	last := rep.Segments[len(rep.Segments)-1]
	name := filepath.Join(dir, "log", last.File)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[4096+60] ^= 0x10
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if err := os.RemoveAll(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryThatIsNotWhatWasStoredIsRefusedWithAdvice(t *testing.T) {
	tests := []struct {
		name    string
		breakIt func(t *testing.T, dir string)
		want    []string
	}{
		{
			"the log is removed", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "log")) },
			[]string{"the log ends at record 0, before the checkpoint at 2000", "log files are missing", "restore the whole data directory"},
		},
		{
			"the page store is removed", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "pages")) },
			[]string{"but the last checkpoint in the page store is at 0", "the page store is missing, or older", "restore the whole data directory"},
		},
		{"the log's last files are removed", func(t *testing.T, dir string) {
			names := segments(t, dir)
			remove(t, names[1:]...)
		}, []string{"log damaged", "missing"}},
		{
			"the log's first file is removed", func(t *testing.T, dir string) { remove(t, segments(t, dir)[0]) },
			[]string{"the log begins at record", "the last checkpoint in the page store is at 2000", "restore the whole data directory"},
		},
		{"a bit of the log has flipped", damageLog, []string{"log damaged", "do not delete anything"}},
		{"the log is that of another broker", func(t *testing.T, dir string) {
			other := t.TempDir()
			s, m, err := onDisk(t, other)
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{t: t, Store: s, ledger: m}
			for i := range uint64(45) {
				r.commitAll(i*100+1, i*100+100, Soon)
			}
			r.closeNow()
			remove(t, filepath.Join(dir, "log"))
			if err := os.Rename(filepath.Join(other, "log"), filepath.Join(dir, "log")); err != nil {
				t.Fatal(err)
			}
		}, []string{"the page store's checkpoint at record 2000 is not one of this log", "restore the whole data directory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			lived(t, dir)
			tt.breakIt(t, dir)
			s, _, err := onDisk(t, dir)
			if err == nil {
				_ = s.Close(t.Context())
				t.Fatal("the store opened")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error is %q, want %q in it", err, want)
				}
			}
			// It is refused again, and nothing was made worse.
			if _, _, again := onDisk(t, dir); again == nil {
				t.Error("the second attempt opened the store")
			}
		})
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	r := newRig(t)
	r.open()
	r.commitAll(1, 5, Synced)
	r.crash(1)
	w, err := r.pages.Memory.Begin(pages.Mark{Index: 5, Epoch: 1, Format: formatVersion + 1})
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	err = r.tryOpen()
	var m *MismatchError
	if !errors.As(err, &m) || m.Advice != adviceNewer {
		t.Fatalf("error is %v", err)
	}
}

func TestTornTailIsCutOff(t *testing.T) {
	for torn := range 40 {
		r := newRig(t)
		r.open()
		r.commitAll(1, 30, Synced)
		r.fs.HaltAfter(1) // the write, but not the sync
		k := &sink{}
		r.Commit(publish(31, 3000, Synced, k))
		if err := k.wait(t, 31); !errors.Is(err, ErrFailed) {
			t.Fatal(err)
		}
		r.crash(uint64(torn))
		r.open()
		_, count, _ := r.ledger.snapshot()
		if count != 30 && count != 31 {
			t.Fatalf("%d changes are left", count)
		}
		r.wantState(upTo(count))
		r.commitAll(count+1, count+1, Synced)
		r.closeNow()
	}
}

// A machine that can't load what the page store has leaves no goroutines and
// no locks behind.
func TestFailedOpenGivesEverythingBack(t *testing.T) {
	dir := t.TempDir()
	n := lived(t, dir)
	refused := errors.New("refused")
	for range 2 {
		if _, err := Open(Options{Dir: dir}, badMachine{err: refused}); !errors.Is(err, refused) {
			t.Fatalf("error is %v", err)
		}
	}
	s, m, err := onDisk(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, Store: s, ledger: m}
	r.wantState(upTo(n))
	r.mustClose()
}

type badMachine struct {
	discard
	err error
}

func (b badMachine) Load(pages.Store) error { return fmt.Errorf("load: %w", b.err) }

func TestRefusedOptionsLeaveNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(Options{Dir: dir, SegmentSize: 5000}, newLedger()); err == nil || !strings.Contains(err.Error(), "segment size 5000 is not a multiple of 4096") {
		t.Errorf("Open returned %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

package pages

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func FuzzCheckpointFile(f *testing.F) {
	whole := checkpoint{completed: mark(7), intent: 9, manifest: 4711, version: 12, tail: 3, tailSize: 99}.encode()
	f.Add(whole)
	f.Add(checkpoint{}.encode())
	f.Add(whole[:checkpointSize-1])
	f.Add(append(slices.Clone(whole), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCheckpoint(b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.encode(), b) {
			t.Fatalf("%x decodes as %+v, which encodes as %x", b, c, c.encode())
		}
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), uint64(3))
	f.Add([]byte("k"), []byte{}, uint64(1<<63))
	f.Fuzz(func(t *testing.T, key, value []byte, version uint64) {
		sealed := appendSealed([]byte("x"), key, standsHere, value, version)[1:]
		if stands, got, ok := unseal(key, sealed, version); !ok || stands != standsHere || !bytes.Equal(got, value) {
			t.Fatalf("%x comes back as %x, %d, %v", value, got, stands, ok)
		}
		if _, _, ok := unseal(key, sealed, version+1); ok {
			t.Fatal("another version is accepted")
		}
		for i := range sealed {
			sealed[i] ^= 1
			if _, _, ok := unseal(key, sealed, version); ok {
				t.Fatalf("a flipped bit at %d is accepted", i)
			}
			sealed[i] ^= 1
			if i == 64 {
				break
			}
		}
		_, _, _ = unseal(key, value, version)
	})
}

func FuzzValueFile(f *testing.F) {
	one := appendRecord(nil, []byte("key"), []byte("value"), 7)
	two := appendRecord(slices.Clone(one), []byte("k"), nil, 1<<63)
	f.Add(one)
	f.Add(two)
	f.Add(two[:len(two)-1])
	f.Add(append(slices.Clone(one), 0))
	f.Add(append(append(slices.Clone(one), make([]byte, disk.BlockSize-len(one))...), two...))
	f.Add(binary.BigEndian.AppendUint32(make([]byte, 4), MaxValue))
	f.Fuzz(func(t *testing.T, b []byte) {
		fs := disk.NewFake()
		v := valueFiles{fs: fs, dir: "/"}
		writeFile(t, fs, v.path(1), b)
		before := allocatedBytes()
		var again []byte
		err := v.each(1, int64(len(b)), func(p place, r record) error {
			if int(p.off) < len(again) || int(p.off) != len(again) && p.off%disk.BlockSize != 0 || int(p.size) != recordSize(r.key, r.value) {
				t.Fatalf("a record at %d behind %d bytes", p.off, len(again))
			}
			again = append(again, make([]byte, int(p.off)-len(again))...)
			again = appendRecord(again, r.key, r.value, r.version)
			return nil
		})
		if err == nil && len(again) < len(b) {
			again = append(again, make([]byte, len(b)-len(again))...)
		}
		if err == nil && !bytes.Equal(again, b) || !bytes.HasPrefix(b, again) {
			t.Fatalf("%d bytes come back as %d, %v", len(b), len(again), err)
		}
		if took := allocatedBytes() - before; took > 4*uint64(len(b))+4<<20 {
			t.Fatalf("%d bytes took %d of memory", len(b), took)
		}
	})
}

func writeFile(t testing.TB, fs disk.FS, name string, b []byte) {
	t.Helper()
	file, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzFileUse(f *testing.F) {
	f.Add(fileUse{100, 50}.encode())
	f.Add(fileUse{}.encode())
	f.Add(fileUse{50, 100}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		u, ok := decodeFileUse(b)
		if !ok {
			return
		}
		if again, ok := decodeFileUse(u.encode()); !ok || again != u || u.live > u.size || u.size > maxValueFile {
			t.Fatalf("%x is %+v, and then %+v, %v", b, u, again, ok)
		}
	})
}

func FuzzUsage(f *testing.F) {
	u := usage{dead: 5}
	u.put([]byte{4}, 100)
	f.Add(u.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := decodeUsage(b)
		if again := decodeUsage(u.append(nil)); again != u {
			t.Fatalf("%+v comes back as %+v", u, again)
		}
	})
}

// memEntryBytes is an entry of a memory table's log, as Badger writes it.
func memEntryBytes(meta byte, key, value string) []byte {
	b := []byte{meta, 0}
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, 0)
	b = append(b, key+value...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func FuzzMemLog(f *testing.F) {
	head := make([]byte, memHeader)
	txn := slices.Concat(memEntryBytes(memTxn, "key12345678", "value"), memEntryBytes(memEnd, "!badger!txn", "9"))
	f.Add(slices.Concat(head, txn, txn))
	f.Add(slices.Concat(head, txn, make([]byte, 50)))
	f.Add(slices.Concat(head, txn, make([]byte, 50), []byte{1}))
	f.Add(slices.Concat(head, txn, txn[:len(txn)-1]))
	f.Add(slices.Concat(head, memEntryBytes(memTxn, "key12345678", "value")))
	f.Add(head[:5])
	f.Add(binary.AppendUvarint(append(slices.Clone(head), memTxn, 0, 3), 1<<62))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocatedBytes()
		err := verifyMemLog(bufio.NewReaderSize(bytes.NewReader(b), 64<<10), int64(len(b)))
		if used := allocatedBytes() - before; used > 1<<20+uint64(len(b))*8 {
			t.Fatalf("%d bytes of memory for %d", used, len(b))
		}
		if err == nil && len(b) < memHeader {
			t.Fatal("a log without a header is whole")
		}
	})
}

func allocatedBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func FuzzTable(f *testing.F) {
	table := smallTable(f)
	f.Add(table)
	f.Add(table[:len(table)-1])
	f.Add(table[len(table)/2:])
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocatedBytes()
		err := guarded("fuzz", func() error { return verifyTable(bytes.NewReader(b), int64(len(b)), true) })
		if err == nil && len(b) < 8 {
			t.Fatalf("%x is a table", b)
		}
		if used := allocatedBytes() - before; used > 1<<20+uint64(len(b))*8 {
			t.Fatalf("%d bytes of memory for %d", used, len(b))
		}
	})
}

// smallTable is a table file that Badger wrote.
func smallTable(f *testing.F) []byte {
	f.Helper()
	dir := f.TempDir()
	s, err := Open(smallOptions(dir))
	if err != nil {
		f.Fatal(err)
	}
	if err := checkpointOf(s, 1, put("\x02a", "1"), put("\x02b", "22"), del("\x02c")); err != nil {
		f.Fatal(err)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Clean(named(f, dir, "*.sst")))
	if err != nil {
		f.Fatal(err)
	}
	if err := verifyTable(bytes.NewReader(b), int64(len(b)), true); err != nil {
		f.Fatalf("a table that Badger wrote: %v", err)
	}
	return b
}

func TestMemoryTableLogs(t *testing.T) {
	head := make([]byte, memHeader)
	entry := memEntryBytes(memTxn, "key12345678", "value")
	txn := slices.Concat(entry, memEntryBytes(memEnd, "!badger!txn", "9"))
	flipped := slices.Clone(txn)
	flipped[10] ^= 1
	for _, c := range []struct {
		name  string
		log   []byte
		whole bool
	}{
		{"two transactions to the end of the file", slices.Concat(head, txn, txn), true},
		{"zeros behind the last", slices.Concat(head, txn, make([]byte, 200_000)), true},
		{"no transaction", head, true},
		{"bytes behind the zeros", slices.Concat(head, txn, make([]byte, 200_000), []byte{1}), false},
		{"a transaction without its end", slices.Concat(head, txn, entry), false},
		{"a transaction without its end before zeros", slices.Concat(head, txn, entry, make([]byte, 99)), false},
		{"a cut entry", slices.Concat(head, txn, txn[:len(txn)-1]), false},
		{"a flipped bit", slices.Concat(head, flipped, txn), false},
		{"a length that is too long", binary.AppendUvarint(append(slices.Clone(head), memTxn, 0, 3), 1<<62), false},
		{"half a header", head[:5], false},
	} {
		err := verifyMemLog(bufio.NewReader(bytes.NewReader(c.log)), int64(len(c.log)))
		if (err == nil) != c.whole {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

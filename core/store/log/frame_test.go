package log

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

// The golden bytes are the format: a change here needs another format version.
const goldenFrame = "" +
	// magic, length 69, CRC, previous CRC 0, version 1, 2 entries, epoch 7, base 1, time
	"e54c4631" + "45000000" + "6760ab5c" + "00000000" + "01000000" + "02000000" +
	"0700000000000000" + "0100000000000000" + "7b002a36fe9c9717" +
	"01" + "05000000" + "68656c6c6f" + // full, "hello"
	"01" + "06000000" + "776f726c6421" // full, "world!"

func goldenLog(t *testing.T) *Log {
	t.Helper()
	o := testOptions(disk.NewFake())
	o.Epoch = 7
	l := mustOpen(t, o)
	l.Append([]byte("hel"), []byte("lo"))
	l.Append([]byte("world!"))
	mustCommit(t, l, true)
	return l
}

func TestFrameBytesAreTheDocumentedOnes(t *testing.T) {
	l := goldenLog(t)
	got, err := l.ReadFrames(nil, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got) != goldenFrame {
		t.Errorf("frame is\n%x, want\n%s", got, goldenFrame)
	}
}

func TestHeaderAndMarkBytesAreTheDocumentedOnes(t *testing.T) {
	h := header{
		state: segmentActive, log: [16]byte{0: 0xaa, 15: 0xbb}, id: 3, size: 64 << 20,
		prev: Position{Epoch: 5, Index: 99, Chain: 0x01020304},
	}
	b := h.encode()
	want := "454e54524c4f470a" + "01000000" + "01000000" + "aa0000000000000000000000000000bb" +
		"0300000000000000" + "0000000400000000" + "6400000000000000" + "0500000000000000" + "04030201" + "bb2d85da"
	if got := hex.EncodeToString(b[:headerLen]); got != want || len(b) != disk.SectorSize {
		t.Errorf("header is\n%s, want\n%s", got, want)
	}
	m := mark{state: markSealed, counter: 2, pos: Position{Epoch: 5, Index: 100, Chain: 0x0a0b0c0d}, end: 5000}
	var mb [markLen]byte
	m.encode(mb[:], markSeed(h.log, h.id))
	want = "01000000" + "0d0c0b0a" + "0200000000000000" + "6400000000000000" + "0500000000000000" + "8813000000000000" + "0025c97f"
	if got := hex.EncodeToString(mb[:]); got != want {
		t.Errorf("mark is\n%s, want\n%s", got, want)
	}
	if back, ok := decodeMark(mb[:], markSeed(h.log, h.id)); !ok || back != m {
		t.Errorf("mark decodes to %+v, %t", back, ok)
	}
	if _, ok := decodeMark(mb[:], markSeed(h.log, h.id+1)); ok {
		t.Error("a mark of another segment was taken")
	}
	if back, wrong := decodeHeader(b); wrong != "" || back != h {
		t.Errorf("header decodes to %+v, %q", back, wrong)
	}
}

func TestNoSingleFlippedBitMakesAnotherValidFrame(t *testing.T) {
	l := goldenLog(t)
	raw, err := l.ReadFrames(nil, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(raw) * 8 {
		b := bytes.Clone(raw)
		b[bit/8] ^= 1 << (bit % 8)
		if _, err := parseFrame(b, Position{}); !isBad(err) {
			t.Fatalf("bit %d flipped: error is %v", bit, err)
		}
	}
}

func TestFrameOfANewerFormatIsNotTakenForATornTail(t *testing.T) {
	o := testOptions(disk.NewFake())
	l := mustOpen(t, o)
	appendEach(t, l, "one")
	mustClose(t, l)
	fake := o.FS.(*disk.Fake)
	name := segmentName("wal", 1)
	b := fake.Bytes(name)
	end := headerSize + frameHeaderSize + entryHeaderSize + 3
	first := mustFrame(b[headerSize:end])
	next := bytes.Clone(first.raw)
	sealFrame(next, first.end(), 1, 1, 0)
	next[16] = 2
	crc := frameCRC(next, first.crc)
	copy(next[8:12], []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)})
	copy(b[end:], next)
	fake.Put(name, b)
	_, err := Open(o)
	if d := wantDamage(t, err); d.Advice != adviceNewer || !errors.Is(err, errFrameVersion) {
		t.Errorf("damage is %v", d)
	}
}

func FuzzFrame(f *testing.F) {
	var pos Position
	raw := make([]byte, frameHeaderSize)
	raw = append(appendEntryHeader(raw, kindFull, 3), "abc"...)
	raw = append(appendEntryHeader(raw, kindFirst, 0), appendEntryHeader(nil, kindLast, 0)...)
	sealFrame(raw, pos, 1, 3, 42)
	f.Add(raw, false)
	f.Add(raw[:60], true)
	f.Add([]byte{0xe5, 'L', 'F', '1', 0xff, 0xff, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		b = bytes.Clone(b)
		if n, err := frameLength(append(bytes.Clone(b), make([]byte, frameHeaderSize)...)); fix && err == nil && n <= len(b) {
			crc := frameCRC(b[:n], le32(b[12:])) // let the fuzzer past the checksum
			b[8], b[9], b[10], b[11] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
		}
		var at Position
		if len(b) >= frameHeaderSize {
			at = Position{Chain: le32(b[12:]), Index: le64(b[32:]) - 1}
		}
		fr, err := parseFrame(b, at)
		if err != nil {
			if !isBad(err) {
				t.Fatalf("error %v is not a reason", err)
			}
			return
		}
		again := bytes.Clone(fr.raw)
		clear(again[:frameHeaderSize])
		pos := sealFrame(again, at, fr.epoch, fr.count, fr.time)
		if !bytes.Equal(again, fr.raw) || pos != fr.end() {
			t.Fatalf("encoded again:\n%x, was\n%x", again, fr.raw)
		}
	})
}

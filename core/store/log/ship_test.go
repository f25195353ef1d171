package log

import (
	"bytes"
	"errors"
	"testing"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func TestEndsTellsWhereEachFrameEnds(t *testing.T) {
	l := mustOpen(t, testOptions(disk.NewFake()))
	var want []Position
	for _, r := range numbered("r", 5, 100) {
		l.Append([]byte(r))
		mustCommit(t, l, true)
		want = append(want, l.Last())
	}
	raw, err := l.ReadFrames(nil, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Ends(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("frame %d ends at %v, want %v", i, got[i], want[i])
		}
	}
	for cut := 1; cut < FrameSize(raw); cut++ {
		if _, err := Ends(nil, raw[:cut]); !errors.Is(err, ErrMismatch) {
			t.Fatalf("a frame cut at %d: %v", cut, err)
		}
	}
}

func TestReaderGoesOnWhereItWasToldToStopInTheMiddleOfARecord(t *testing.T) {
	l := mustOpen(t, testOptions(disk.NewFake()))
	large := bytes.Repeat([]byte("0123456789"), 1000) // several frames
	for _, r := range [][]byte{[]byte("a"), large, []byte("b")} {
		l.Append(r)
		mustCommit(t, l, true)
	}
	var got [][]byte
	r := l.Reader(1)
	for upTo := uint64(2); upTo <= l.Last().Index; upTo++ {
		end, err := l.BoundaryAt(upTo)
		if err != nil {
			t.Fatal(err)
		}
		err = r.Next(end.Index, func(_, _ uint64, rec []byte) error {
			got = append(got, bytes.Clone(rec))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 2 || !bytes.Equal(got[0], large) || string(got[1]) != "b" {
		t.Fatalf("read %d records", len(got))
	}
}

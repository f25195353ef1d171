package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

func put(s *Scratch, b []byte) (Place, error) {
	return s.Write(int64(len(b)), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

func TestScratchIsEmptiedWhenOpened(t *testing.T) {
	fs := disk.NewFake()
	for range 2 {
		s, err := OpenScratch(fs, "d/scratch", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.List("d/scratch")
		if err != nil || len(names) != 0 {
			t.Fatalf("files %v, %v", names, err)
		}
		if _, err := put(s, []byte("left behind")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestScratchReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := OpenScratch(disk.NewFake(), "scratch", 4*scratchFileSize)
		if err != nil {
			t.Fatal(err)
		}
		model := map[Place][]byte{}
		var order []Place
		for i := range rapid.IntRange(1, 40).Draw(t, "n") {
			if len(order) > 0 && rapid.Bool().Draw(t, "free") {
				at := rapid.IntRange(0, len(order)-1).Draw(t, "which")
				delete(model, order[at])
				order[at].Free()
				order = append(order[:at], order[at+1:]...)
				continue
			}
			b := bytes.Repeat([]byte(fmt.Sprint(i, ".")), rapid.SampledFrom([]int{1, 1000, 2_000_000}).Draw(t, "size"))
			p, err := put(s, b)
			if err != nil {
				t.Fatal(err)
			}
			model[p] = b
			order = append(order, p)
		}
		for p, want := range model {
			got := make([]byte, p.Size())
			if err := p.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("read %d bytes: %v", len(got), err)
			}
			p.Free()
		}
		if s.Used() != 0 || len(s.files) != 0 {
			t.Fatalf("%d bytes in %d files are left", s.Used(), len(s.files))
		}
	})
}

func TestScratchTakesNoMoreThanItMay(t *testing.T) {
	fs := disk.NewFake()
	s, err := OpenScratch(fs, "scratch", 100)
	if err != nil {
		t.Fatal(err)
	}
	first, err := put(s, make([]byte, 60))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put(s, make([]byte, 41)); !errors.Is(err, ErrScratchFull) {
		t.Fatalf("wrote too much: %v", err)
	}
	first.Free()
	if names, _ := fs.List("scratch"); len(names) != 0 {
		t.Fatalf("files %v are left", names)
	}
	if _, err := put(s, make([]byte, 100)); err != nil {
		t.Fatalf("no room after what was there has gone: %v", err)
	}
}

func TestScratchGivesSpaceBackByFiles(t *testing.T) {
	s, err := OpenScratch(disk.NewFake(), "scratch", 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	var places []Place
	for range 12 {
		p, err := put(s, make([]byte, scratchFileSize/4))
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, p)
	}
	if len(s.files) != 3 {
		t.Fatalf("%d files", len(s.files))
	}
	for _, p := range places[:7] {
		p.Free()
	}
	if len(s.files) != 2 || s.Used() != 2*scratchFileSize {
		t.Fatalf("%d files with %d bytes; only the first was free", len(s.files), s.Used())
	}
	s.Close()
}

func TestScratchGoesOnAfterAFailedWrite(t *testing.T) {
	s, err := OpenScratch(disk.NewFake(), "scratch", 1000)
	if err != nil {
		t.Fatal(err)
	}
	good, err := put(s, []byte("good"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Write(10, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return syscall.EIO
	})
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("error %v", err)
	}
	more, err := put(s, []byte("more"))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[Place]string{good: "good", more: "more"} {
		b := make([]byte, 4)
		if err := p.ReadAt(b, 0); err != nil || string(b) != want {
			t.Fatalf("%q, %v; want %q", b, err, want)
		}
		p.Free()
	}
	if s.Used() != 0 {
		t.Fatalf("%d bytes are left", s.Used())
	}
	if err := good.ReadAt(make([]byte, 4), 1); err == nil {
		t.Fatal("read behind the end")
	}
}

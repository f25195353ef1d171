package bench

import (
	"errors"
	"strings"
	"testing"
)

func TestStampsAreReadAsTheyWereWritten(t *testing.T) {
	for _, tt := range []struct {
		s    stamp
		text string
	}{
		{stamp{}, "AAAAAAAAAAAAAAAA"},
		{stamp{run: 1, producer: 2, ticks: 3, seq: 4}, "ABACAAAAAADAAAAE"},
		{stamp{run: maxRun - 1, producer: maxProducers - 1, ticks: maxTicks - 1, seq: maxSequence - 1}, "________________"},
		{stamp{run: 64, producer: 128, ticks: 1 << 36, seq: 1 << 24}, "BACABAAAAAABAAAA"},
	} {
		var b [stampSize]byte
		tt.s.put(b[:])
		if string(b[:]) != tt.text {
			t.Errorf("%+v is %s, want %s", tt.s, b, tt.text)
		}
		if got, err := readStamp(b[:]); err != nil || got != tt.s {
			t.Errorf("%s is %+v, %v, want %+v", b, got, err, tt.s)
		}
	}
}

func TestBodiesOfOthersAreNotStamps(t *testing.T) {
	for _, body := range []string{"", "AAAAAAAAAAAAAAA", strings.Repeat(" ", 16), "AAAAAAAAAAAAAAA\n", "\xffAAAAAAAAAAAAAAA", "AAAAAA:AAAAAAAAA"} {
		if s, err := readStamp([]byte(body)); !errors.Is(err, errStamp) {
			t.Errorf("%q is %+v, %v", body, s, err)
		}
	}
}

func TestMarkPatchesOnlyTheStampsOfItsFrame(t *testing.T) {
	codec := &stompCodec{v12: true}
	f, err := codec.publication(publication{
		destination: "/queue/a:b", size: 20, persistent: true, confirm: true,
		headers: []header{{"priority", "7"}},
	}, 3)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		f.mark(i, stamp{run: 1, producer: 2, ticks: 3, seq: uint32(i)})
	}
	tail := string(filler(20)[16:])
	want := ""
	for _, seq := range []string{"A", "B", "C"} {
		id := "ABACAAAAAADAAAA" + seq
		want += "SEND\ndestination:/queue/a\\cb\npersistent:true\npriority:7\nreceipt:" + id + "\ncontent-length:20\n\n" + id + tail + "\x00"
	}
	if got := string(f.first(3)); got != want {
		t.Errorf("frames\n%q, want\n%q", got, want)
	}
	if got := string(f.first(1)); got != want[:len(want)/3] {
		t.Errorf("first frame %q", got)
	}
}

func TestABodyTooSmallForAStampIsRefused(t *testing.T) {
	if _, err := (&stompCodec{}).publication(publication{size: 15}, 1); err == nil {
		t.Error("accepted")
	}
}

func BenchmarkMark(b *testing.B) {
	f, err := (&stompCodec{}).publication(publication{destination: "/queue/x", size: 16, confirm: true}, maxBatch)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.mark(i%maxBatch, stamp{run: 1, ticks: 1 << 40, seq: uint32(i) % maxSequence})
	}
}

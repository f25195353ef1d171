package bench

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkCeiling is the most that the generator itself can do: publisher,
// the fake broker and consumer share the machine, so a real broker on other
// cores sees more.
func BenchmarkCeiling(b *testing.B) {
	for _, bb := range []struct{ name, flags string }{
		{"16B", "--size=16"},
		{"1KiB", "--size=1024"},
		{"16B_window1000_ack", "--size=16 --window=1000 --ack=client-individual"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			broker := startFake(b, nil)
			args := append([]string{"--messages", strconv.Itoa(b.N), "--timeout", "10s"}, strings.Fields(bb.flags)...)
			b.ReportAllocs()
			b.ResetTimer()
			r, err := benchRun(b, broker, args...)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.DeliverPS, "msg/s")
		})
	}
}

// BenchmarkPublish is a publisher alone, against a server that reads and
// forgets.
func BenchmarkPublish(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := ln.Accept(); err == nil {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, make([]byte, 1<<20))
			c.Close()
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	frames, err := (&stompCodec{v12: true}).publication(publication{destination: "/queue/bench", size: 16}, maxBatch)
	if err != nil {
		b.Fatal(err)
	}
	p := &publisher{link: &link{conn: conn}, frames: frames, clock: newClock(), room: make(chan struct{}, 1)}
	p.limit.Store(min(int64(b.N), maxSequence))
	b.ReportAllocs()
	b.ResetTimer()
	if err := p.send(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	conn.Close()
	ln.Close()
	<-done
}

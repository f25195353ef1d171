package mqtt

import (
	"io"
	"testing"
	"time"
)

// BenchmarkQoS0 is one publisher and one subscriber on loopback sockets; 64
// messages to a write.
func BenchmarkQoS0(b *testing.B) {
	for name, v := range map[string]version{"v3": v311, "v5": v5} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, nil)
			s := r.client(hello{v: v, id: "s", clean: true})
			s.subscribe(0, "bench/topic")
			p := r.client(hello{v: v, id: "p", clean: true})
			one := publishing{topic: "bench/topic", body: "0123456789abcdef"}.packet(v)
			const batch = 64
			var many []byte
			for range batch {
				many = append(many, one...)
			}
			if err := s.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			read := make(chan error, 1)
			n := (b.N + batch - 1) / batch
			go func() {
				_, err := io.CopyN(io.Discard, s.conn, int64(n*len(many)))
				read <- err
			}()
			for range n {
				if _, err := p.conn.Write(many); err != nil {
					b.Fatal(err)
				}
				if d := r.front.Snapshot(); d.Received-d.Delivered > 20_000 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			if err := <-read; err != nil {
				b.Fatal(err)
			}
		})
	}
}

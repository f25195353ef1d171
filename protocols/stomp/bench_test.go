package stomp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// BenchmarkLoopback moves messages from one connection to another over
// loopback sockets, both ends included.
func BenchmarkLoopback(b *testing.B) {
	for _, bb := range []struct {
		name    string
		dest    string
		size    int
		receipt bool
		headers string
		subs    int
	}{
		{"queue transient 16B", "/queue/b", 16, false, "", 1},
		{"queue transient 1KiB", "/queue/b", 1024, false, "", 1},
		{"queue persistent 1KiB receipts", "/queue/b", 1024, true, "persistent:true\n", 1},
		{"topic 16B to 100", "/topic/b", 16, false, "", 100},
	} {
		b.Run(bb.name, func(b *testing.B) { loopback(b, bb.dest, bb.headers, bb.size, bb.receipt, bb.subs) })
	}
}

func loopback(b *testing.B, dest, headers string, size int, receipt bool, subs int) {
	b.Helper()
	r := newRig(b, nil)
	addr := r.listen("")
	done := make(chan error, subs+1)
	for range subs {
		c := benchConn(b, addr, "SUBSCRIBE\nid:0\ndestination:"+dest+"\nreceipt:s\n\n\x00", 2)
		go func() { done <- skipFrames(c, b.N) }()
	}
	p := benchConn(b, addr, "", 1)
	frame := func(i int) []byte {
		f := fmt.Appendf(nil, "SEND\ndestination:%s\n%s", dest, headers)
		if receipt {
			f = fmt.Appendf(f, "receipt:%d\n", i)
		}
		return fmt.Appendf(f, "content-length:%d\n\n%s\x00", size, strings.Repeat("x", size))
	}
	const window = 1000
	waits := 0
	b.SetBytes(int64(size * subs))
	b.ReportAllocs()
	b.ResetTimer()
	w := bufio.NewWriterSize(p, 64<<10)
	receipts := make(chan struct{}, window)
	if receipt {
		waits++
		go func() {
			in := bufio.NewReaderSize(p, 64<<10)
			for range b.N {
				if _, err := in.ReadSlice(0); err != nil {
					done <- err
					return
				}
				<-receipts
			}
			done <- nil
		}()
	}
	one := frame(1)
	for range b.N {
		if receipt {
			select {
			case receipts <- struct{}{}:
			default:
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
				receipts <- struct{}{}
			}
		}
		if _, err := w.Write(one); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	for range subs + waits {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*subs)/b.Elapsed().Seconds(), "msg/s")
}

// benchConn connects, sends more, and waits for n frames.
func benchConn(b *testing.B, addr, more string, n int) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, "CONNECT\naccept-version:1.2\n\n\x00"+more); err != nil {
		b.Fatal(err)
	}
	one := make([]byte, 1)
	for n > 0 {
		if _, err := io.ReadFull(c, one); err != nil {
			b.Fatal(err)
		}
		if one[0] == 0 {
			n--
		}
	}
	return c
}

// skipFrames reads n frames whose bodies hold no NUL.
func skipFrames(c net.Conn, n int) error {
	buf := make([]byte, 256<<10)
	for n > 0 {
		k, err := c.Read(buf)
		if err != nil {
			return err
		}
		n -= bytes.Count(buf[:k], []byte{0})
	}
	return nil
}

package stomp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var testLimits = frameLimits{commandLine: 32, headerLine: 64, headers: 5, head: 256, body: 128, frame: 320}

// text shows a frame as tests write it: command|key=value|...|body.
func (f *frame) String() string {
	var b strings.Builder
	b.WriteString(f.command.String())
	for _, h := range f.fields {
		fmt.Fprintf(&b, "|%s=%s", f.bytes(h.key), f.bytes(h.value))
	}
	fmt.Fprintf(&b, "|%q", f.body)
	return b.String()
}

// decodeAll decodes input that comes in pieces of n bytes, as a connection
// does: what was not consumed is kept and more is added.
func decodeAll(tb testing.TB, v version, limits frameLimits, input []byte, n int) ([]string, error) {
	tb.Helper()
	d := decoder{limits: limits, version: v}
	var frames []string
	var buf []byte
	for {
		for {
			f, used, err := d.next(buf)
			buf = append([]byte(nil), buf[used:]...) // moved, as the connection's buffer is
			if err != nil {
				return frames, err
			}
			if f == nil {
				break
			}
			frames = append(frames, f.String())
		}
		if len(input) == 0 {
			return frames, nil
		}
		k := min(n, len(input))
		buf, input = append(buf, input[:k]...), input[k:]
	}
}

func TestDecoderReadsFrames(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		v        version
		want     []string
	}{
		{"a frame", "SEND\ndestination:/queue/a\n\nhello\x00", v12, []string{`SEND|destination=/queue/a|"hello"`}},
		{
			"two frames with line ends between", "BEGIN\ntransaction:t\n\n\x00\n\r\n\nCOMMIT\ntransaction:t\n\n\x00\n", v12,
			[]string{`BEGIN|transaction=t|""`, `COMMIT|transaction=t|""`},
		},
		{"CR LF in 1.2", "SEND\r\ndestination:a\r\n\r\nx\x00", v12, []string{`SEND|destination=a|"x"`}},
		{"CR LF in 1.0", "SEND\r\ndestination: a \r\n\r\nx\x00", v10, []string{`SEND|destination=a|"x"`}},
		{"a CR belongs to the value in 1.1", "SEND\nk:v\r\n\nx\x00", v11, []string{"SEND|k=v\r|\"x\""}},
		{"blanks are trimmed in 1.0 only", "SEND\nk: v \n\n\x00", v11, []string{`SEND|k= v |""`}},
		{"NUL in a sized body", "SEND\ncontent-length:3\n\na\x00b\x00", v12, []string{`SEND|content-length=3|"a\x00b"`}},
		{"length zero", "SEND\ncontent-length:0\n\n\x00", v12, []string{`SEND|content-length=0|""`}},
		{"interpreted values are decoded", `SEND` + "\n" + `destination:a\cb\\c` + "\n\n\x00", v12, []string{`SEND|destination=a:b\c|""`}},
		{"others stay escaped", `SEND` + "\n" + `k\c:a\cb\r` + "\n\n\x00", v12, []string{`SEND|k\c=a\cb\r|""`}},
		{"1.0 has no escapes", `SEND` + "\n" + `destination:C:\new` + "\n\n\x00", v10, []string{`SEND|destination=C:\new|""`}},
		{"CONNECT has no escapes", "CONNECT\n" + `passcode:a\tb` + "\n\n\x00", v12, []string{`CONNECT|passcode=a\tb|""`}},
		{"colons in a value", "SEND\nk:a:b\n\n\x00", v12, []string{`SEND|k=a:b|""`}},
		{"an empty value", "SEND\nk:\n\n\x00", v12, []string{`SEND|k=|""`}},
		{"old spellings", "SUB\n\n\x00UNSUB\n\n\x00SEND \n\n\x00", v10, []string{`SUBSCRIBE|""`, `UNSUBSCRIBE|""`, `SEND|""`}},
		{"an unknown command", "HELLO\n\n\x00", v12, []string{`unknown command|""`}},
		{"STOMP is CONNECT", "STOMP\n\n\x00", v12, []string{`CONNECT|""`}},
		{"only heart-beats", "\n\n\r\n\n", v12, nil},
		{
			"limits exactly reached", "SEND\na:" + strings.Repeat("x", 62) + "\nb:1\nc:2\nd:3\ne:4\n\n" + strings.Repeat("y", 128) + "\x00", v12,
			[]string{"SEND|a=" + strings.Repeat("x", 62) + "|b=1|c=2|d=3|e=4|\"" + strings.Repeat("y", 128) + `"`},
		},
	} {
		for _, n := range []int{1, 2, 7, 1 << 20} {
			got, err := decodeAll(t, tt.v, testLimits, []byte(tt.in), n)
			if err != nil || strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("%s, %d bytes at a time: got %q, %v; want %q", tt.name, n, got, err, tt.want)
			}
		}
	}
}

func TestDecoderRefusesMalformedFrames(t *testing.T) {
	for _, tt := range []struct {
		in   string
		v    version
		want string
	}{
		{"SEND\nnocolon\n\n\x00", v12, "header line 1 has no colon"},
		{"SEND\n:v\n\n\x00", v12, "header line 1 has no name"},
		{"SEND\r\nk:v\r\n\r\n\x00", v11, "header line 2 has no colon"}, // the CR of the empty line
		{"SEND\n\x00", v12, "NUL inside the command or header lines"},
		{"SEND\nk:a\x00b\n\n\x00", v12, "NUL inside the command or header lines"},
		{"\x00\n", v12, "NUL inside the command or header lines"},
		{"\xff\n\n\x00", v12, "command and headers are not valid UTF-8"},
		{"SEND\nk:\xff\n\n\x00", v12, "command and headers are not valid UTF-8"},
		{"SEND\n" + `k:a\tb` + "\n\n\x00", v12, `undefined escape sequence \t in header line 1`},
		{"SEND\n" + `k:a\rb` + "\n\n\x00", v11, `undefined escape sequence \r in header line 1`},
		{"SEND\n" + `k:a\` + "\n\n\x00", v12, `undefined escape sequence \\n in header line 1`},
		{"SEND\n" + `k\x:a` + "\n\n\x00", v12, `undefined escape sequence \x in header line 1`},
		{"SEND\ncontent-length:-1\n\n\x00", v12, `header content-length is not a number: "-1"`},
		{"SEND\ncontent-length:\n\n\x00", v12, `header content-length is not a number: ""`},
		{"SEND\ncontent-length:1e3\n\n\x00", v12, `header content-length is not a number: "1e3"`},
		{"SEND\ncontent-length:99999999999999999999\n\n\x00", v12, `header content-length is not a number: "99999999999999999999"`},
		{"SEND\ncontent-length:9223372036854775807\n\n\x00", v12, "body is longer than 128 bytes"},
		{"SEND\ncontent-length:129\n\n", v12, "body is longer than 128 bytes"},
		{"SEND\n\n" + strings.Repeat("x", 129), v12, "body is longer than 128 bytes"},
		{"SEND\ncontent-length:2\n\nabc\x00", v12, "no NUL after the 2 bytes that content-length announced"},
		{strings.Repeat("S", 33), v12, "command line is longer than 32 bytes"},
		{"SEND\nk:" + strings.Repeat("x", 63), v12, "header line is longer than 64 bytes"},
		{"SEND\na:1\nb:2\nc:3\nd:4\ne:5\nf:6\n", v12, "frame has more than 5 headers"},
		{"SEND\n" + strings.Repeat("k:"+strings.Repeat("x", 60)+"\n", 5), v12, "command and headers are longer than 256 bytes"},
		{"SEND\n" + strings.Repeat("k:"+strings.Repeat("x", 60)+"\n", 3) + "\n" + strings.Repeat("x", 128) + "\x00", v12, "frame is longer than 320 bytes"},
		{"SEND\n" + strings.Repeat("k:"+strings.Repeat("x", 60)+"\n", 3) + "content-length:126\n\n", v12, "frame is longer than 320 bytes"},
		{"SEND\n" + strings.Repeat("k:"+strings.Repeat("x", 60)+"\n", 3) + "\n" + strings.Repeat("x", 127), v12, "frame is longer than 320 bytes"},
	} {
		for _, n := range []int{1, 5, 1 << 20} {
			_, err := decodeAll(t, tt.v, testLimits, []byte(tt.in), n)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if m := (*fault)(nil); got != tt.want || !errors.As(err, &m) || m.advice == "" || !m.fatal {
				t.Errorf("%q, %d bytes at a time: got %q, want %q (with advice)", tt.in, n, got, tt.want)
			}
		}
	}
}

func TestFirstOfRepeatedHeadersCounts(t *testing.T) {
	d := decoder{limits: testLimits, version: v12}
	f, _, err := d.next([]byte("SEND\ndestination:a\ndestination:b\nx:1\nx:2\n\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	x, ok := f.find("x")
	if f.text(headerDestination) != "a" || x != "1" || !ok {
		t.Errorf("got destination %q, x %q", f.text(headerDestination), x)
	}
}

func TestDecoderLooksAtEachByteOnce(t *testing.T) {
	// A frame that comes byte by byte must not be searched from its start each
	// time: with quadratic work this would take minutes.
	limits := frameLimits{commandLine: 1024, headerLine: 1 << 20, headers: 1000, head: 1 << 20, body: 1 << 20, frame: 4 << 20}
	in := append([]byte("SEND\nk:"), bytes.Repeat([]byte{'x'}, 1<<20-100)...)
	in = append(append(in, "\n\n"...), bytes.Repeat([]byte{'y'}, 1<<20)...)
	in = append(in, 0)
	d := decoder{limits: limits, version: v12}
	for n := range in {
		if f, _, err := d.next(in[:n]); f != nil || err != nil {
			t.Fatalf("after %d bytes: %v, %v", n, f, err)
		}
	}
	if f, n, err := d.next(in); f == nil || n != len(in) || err != nil {
		t.Fatalf("got %v, %d, %v", f, n, err)
	}
}

func BenchmarkDecodeSend1KiB(b *testing.B) {
	p := []byte("SEND\ndestination:/queue/bench.a\npersistent:true\nreceipt:12345\ncontent-length:1024\ncontent-type:text/plain\n\n" +
		strings.Repeat("x", 1024) + "\x00\n")
	d := decoder{limits: frameLimits{1024, 10 << 10, 1000, 64 << 10, 1 << 20, 2 << 20}, version: v12}
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		f, _, err := d.next(p)
		if f == nil || err != nil {
			b.Fatal(f, err)
		}
	}
}

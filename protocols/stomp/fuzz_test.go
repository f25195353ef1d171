package stomp

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
)

// encodeClientFrame writes f as a client of version v would: what decoding it
// again must give.
func encodeClientFrame(f *frame, v version) []byte {
	line, _, _ := bytes.Cut(f.raw, newline) // with its CR
	b := bytes.Clone(line)
	end := "\r\n" // so that a CR at the end of a value stays
	if v == v11 {
		end = "\n"
	}
	if f.command == cmdConnect {
		v = v10
	}
	b = append(b, '\n')
	for i := range f.fields {
		h := &f.fields[i]
		b = append(append(b, f.bytes(h.key)...), ':') // keys stay as they came
		if h.name == headerOther || f.literal {
			b = append(b, f.bytes(h.value)...)
		} else {
			b = appendValue(b, alias(f.bytes(h.value)), v)
		}
		b = append(b, end...)
	}
	b = append(append(b, end...), f.body...)
	return append(b, 0)
}

var fuzzLimits = frameLimits{commandLine: 64, headerLine: 512, headers: 20, head: 2048, body: 4096, frame: 6000}

// FuzzDecode: no panic, memory and time bounded by the input, the same frames
// in whatever pieces the input comes, decode(encode(x)) = x.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"CONNECT\naccept-version:1.0,1.1,1.2\nhost:h\nlogin:a\\b\n\n\x00",
		"SEND\ndestination:/queue/a\ncontent-length:3\n\na\x00b\x00\n",
		"SEND\r\ndestination:a\\cb\r\nk\\n:v\\\\\\r\r\n\r\nbody\x00\r\n\n",
		"ACK\nid:1-2\n\n\x00NACK\nid:1-3\ntransaction:t\n\n\x00",
		"SUB\nid:0\ndestination:a,b\n\n\x00UNSUB\nid:0\n\n\x00BEGIN\ntransaction:t\n\n\x00",
		"SEND\ncontent-length:99999999999\n\n", "\x00", "\r", "\n\n\r\n", "SEND\n:v\n\n\x00", "X", "SEND\nk:\\t\n\n\x00",
	} {
		for v := range uint8(3) {
			f.Add([]byte(s), v, uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, v, piece uint8) {
		ver := version(v % 3)
		// With its head ended: a NUL in a line is found when the line ends or
		// when the head does, depending on the pieces.
		in = append(bytes.Clone(in), "\n\n\x00"...)
		start := time.Now()
		whole, errWhole := decodeAll(t, ver, fuzzLimits, in, len(in)+1)
		pieces, errPieces := decodeAll(t, ver, fuzzLimits, in, int(piece%16)+1)
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("%d bytes took %v", len(in), d)
		}
		if errWhole == nil != (errPieces == nil) || len(whole) != len(pieces) {
			t.Fatalf("whole: %d frames, %v; in pieces: %d, %v", len(whole), errWhole, len(pieces), errPieces)
		}
		for i := range whole {
			if whole[i] != pieces[i] {
				t.Fatalf("frame %d: whole %q, in pieces %q", i, whole[i], pieces[i])
			}
		}
		againIsTheSame(t, ver, in)
		allocatesLittle(t, ver, in)
	})
}

func againIsTheSame(t *testing.T, v version, in []byte) {
	t.Helper()
	d := decoder{limits: fuzzLimits, version: v}
	f, _, err := d.next(bytes.Clone(in))
	if f == nil || err != nil {
		return
	}
	first := f.String()
	again := decoder{version: v, limits: frameLimits{ // escaping may make it longer
		commandLine: 1 << 20, headerLine: 1 << 20, headers: 1 << 10, head: 1 << 20, body: 1 << 20, frame: 1 << 22,
	}}
	encoded := encodeClientFrame(f, v)
	g, _, err := again.next(bytes.Clone(encoded))
	if err != nil || g == nil || g.String() != first {
		t.Fatalf("decoded %q, encoded %q, decoded again %v, %v", first, encoded, g, err)
	}
}

func allocatesLittle(t *testing.T, v version, in []byte) {
	t.Helper()
	p := bytes.Clone(in)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := decoder{limits: fuzzLimits, version: v}
	for len(p) > 0 {
		f, n, err := d.next(p)
		if f == nil || err != nil {
			break
		}
		p = p[n:]
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > uint64(64<<10+64*len(in)) {
		t.Fatalf("%d bytes of input allocated %d", len(in), got)
	}
}

// FuzzPayload: a view of whatever a store returns neither panics nor takes more
// memory than the payload, and what it shows is what a 1.2 consumer reads.
func FuzzPayload(f *testing.F) {
	f.Add(payload("a:1\ncontent-length:4\n", "data"))
	f.Add(payload(`k\c:a\cb\n\r\\`+"\n", ""))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 'a'})
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := Converter{}.View(stompMessage(p))
		if err != nil {
			return
		}
		if len(v.Properties) > len(p) || len(v.Body.Data) > len(p) {
			t.Fatalf("%d bytes have %d properties and a body of %d", len(p), len(v.Properties), len(v.Body.Data))
		}
		block, body, err := splitPayload(p)
		if err != nil || !bytes.Equal(body, v.Body.Data) {
			t.Fatalf("body %q, in the view %q, %v", body, v.Body.Data, err)
		}
		for _, ver := range []version{v10, v11, v12} {
			if out := appendBlock(nil, block, ver); bytes.Count(out, newline) != bytes.Count(block, newline) {
				t.Fatalf("version %v turns %q into %q", ver, block, out)
			}
		}
	})
}

// FuzzEscape: a value that was escaped for a version has no line end, no NUL
// and no second colon in it, and is what it was when decoded.
func FuzzEscape(f *testing.F) {
	f.Add("a:b\nc\\d\re\x00f", uint8(0))
	f.Fuzz(func(t *testing.T, s string, v uint8) {
		ver := version(v % 3)
		out := appendValue(nil, s, ver)
		if bytes.IndexByte(out, '\n') >= 0 || bytes.IndexByte(out, 0) >= 0 || ver != v10 && bytes.IndexByte(out, ':') >= 0 {
			t.Fatalf("%q is written %q", s, out)
		}
		if ver == v10 {
			return
		}
		if c, ok := checkEscapes(out, ver); !ok {
			t.Fatalf("%q is written %q, with an undefined escape %q", s, out, c)
		}
		if got := string(unescapeInPlace(out)); got != string(bytes.ReplaceAll([]byte(s), []byte{0}, []byte("\uFFFD"))) {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func BenchmarkEncodeMessage1KiB(b *testing.B) {
	c := &conn{version: v12, front: &Frontend{}}
	sub := &subscription{id: "sub-0", number: 1, destination: message.Queue("bench.a")}
	c.prepareMessages(sub)
	m := message.New(&message.Envelope{
		ID: message.ID{Hi: 1 << 60, Lo: 123456}, Destination: message.Queue("bench.a"), Durable: true, Priority: 4,
		Timestamp: 1_700_000_000_000, ContentType: "text/plain",
	}, message.EncodingSTOMP, payload("id:12345\ncontent-length:1024\n", string(make([]byte, 1024))))
	it := &outItem{message: m, tag: 77}
	buf := make([]byte, 0, writeBuffer)
	b.ReportAllocs()
	b.SetBytes(1024)
	for b.Loop() {
		head, body := c.appendMessage(buf[:0], sub, it)
		buf = append(append(head, body...), frameEnd...)
	}
}

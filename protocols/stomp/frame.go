package stomp

import (
	"bytes"
	"unicode/utf8"
)

// version is the protocol version that a connection speaks.
type version uint8

const (
	v10 version = iota
	v11
	v12
)

var versionNames = [...]string{"1.0", "1.1", "1.2"}

func (v version) String() string { return versionNames[v] }

// frameLimits bound what a client can make the decoder look at and keep.
type frameLimits struct {
	commandLine int // bytes of the command line
	headerLine  int // bytes of one header line
	headers     int // header lines of a frame
	head        int // bytes of command and header lines together
	body        int // bytes of a body
	frame       int // bytes of a frame
}

// span is a part of a frame, counted from the frame's first byte. Offsets
// instead of slices, because the buffer moves while a frame is incomplete.
type span struct{ from, to uint32 }

// field is one header line.
type field struct {
	name       headerName // headerOther if the frontend has no use for it
	key, value span
}

// frame is one client frame. It lies in place in the read buffer and is valid
// until the buffer is filled again.
type frame struct {
	command command
	raw     []byte
	fields  []field
	body    []byte
	// sized says that the client announced the body's length.
	sized bool
	// plain says that no key and no value needs escaping in any version, as in
	// nearly all frames.
	plain bool
	// literal says that backslashes in headers mean themselves: STOMP 1.0, and
	// CONNECT in all versions.
	literal bool
	first   [headerNameCount]uint16 // index into fields plus one of the first occurrence
}

// value returns the value of the first header of that name. Only the first
// occurrence counts (STOMP 1.2, Repeated Header Entries).
func (f *frame) value(n headerName) ([]byte, bool) {
	i := f.first[n]
	if i == 0 {
		return nil, false
	}
	return f.bytes(f.fields[i-1].value), true
}

// text returns a copy of a header's value, "" if there is none.
func (f *frame) text(n headerName) string {
	v, _ := f.value(n)
	return string(v)
}

// find returns the value of a header that has no headerName: those of rare
// commands.
func (f *frame) find(key string) (string, bool) {
	for i := range f.fields {
		if f.fields[i].name == headerOther && string(f.bytes(f.fields[i].key)) == key {
			v := f.bytes(f.fields[i].value)
			if f.literal || f.plain {
				return string(v), true
			}
			return string(unescapeInPlace(bytes.Clone(v))), true
		}
	}
	return "", false
}

func (f *frame) bytes(s span) []byte { return f.raw[s.from:s.to] }

type decodeState uint8

const (
	atCommand decodeState = iota
	inHeaders
	inBody
	done
)

// decoder finds frames in a stream of bytes. It looks at each byte of an
// incomplete frame once, however small the pieces are in which it comes.
type decoder struct {
	limits  frameLimits
	version version

	f     frame
	state decodeState
	line  int // start of the line being read
	seen  int // bytes of the frame that were searched
	need  int // bytes that the frame has in all, when that is known
}

// next decodes the frame at the start of p, which begins with the bytes that
// the previous call left. It returns a frame and the bytes that it took, or no
// frame and the bytes before the frame (line ends: heart-beats) that can be
// forgotten. After an error d.f holds the headers that were read.
func (d *decoder) next(p []byte) (*frame, int, error) {
	skipped := 0
	if d.state == done {
		d.reset()
	}
	if d.state == atCommand && d.seen == 0 {
		skipped = countLineEnds(p)
		p = p[skipped:]
		if len(p) == 0 || len(p) == 1 && p[0] == '\r' {
			return nil, skipped, nil
		}
	}
	for d.state < inBody {
		i := bytes.IndexByte(p[d.seen:], '\n')
		d.f.raw = p // for errors: the headers so far
		if i < 0 {
			return nil, skipped, d.partialHead(p)
		}
		if err := d.endLine(p, d.seen+i); err != nil {
			return nil, skipped, err
		}
	}
	d.f.raw = p
	n, err := d.endBody(p)
	if n == 0 || err != nil {
		return nil, skipped, err
	}
	d.state = done
	return &d.f, skipped + n, nil
}

func (d *decoder) reset() {
	d.f = frame{fields: d.f.fields[:0]}
	d.state, d.line, d.seen, d.need = atCommand, 0, 0, 0
}

// countLineEnds counts the bytes of leading LF and CR LF.
func countLineEnds(p []byte) int {
	n := 0
	for {
		switch {
		case n < len(p) && p[n] == '\n':
			n++
		case n+1 < len(p) && p[n] == '\r' && p[n+1] == '\n':
			n += 2
		default:
			return n
		}
	}
}

// partialHead checks a head whose current line has not ended yet.
func (d *decoder) partialHead(p []byte) error {
	if bytes.IndexByte(p[d.seen:], 0) >= 0 {
		return errNulInHead
	}
	d.seen = len(p)
	return d.checkLine(len(p)-d.line, len(p))
}

var errNulInHead = badFrame("End the headers with an empty line, then send the body and NUL.",
	"NUL inside the command or header lines")

// checkLine holds the limits for a line of n bytes that ends at end.
func (d *decoder) checkLine(n, end int) error {
	switch {
	case d.state == atCommand && n > d.limits.commandLine:
		return badFrame("Is the client speaking STOMP?", "command line is longer than %d bytes", d.limits.commandLine)
	case d.state == inHeaders && n > d.limits.headerLine:
		return badFrame("Put large values into the body; the listener option "+optHeaderLine+" is the limit.",
			"header line is longer than %d bytes", d.limits.headerLine)
	case end > d.limits.head:
		return badFrame("Put large values into the body; the listener option "+optHead+" is the limit.",
			"command and headers are longer than %d bytes", d.limits.head)
	case end > d.limits.frame:
		return d.tooLong()
	}
	return nil
}

func (d *decoder) tooLong() error {
	return badFrame("The listener option "+optFrame+" is the limit; before CONNECT it is at most "+
		"8 KiB.", "frame is longer than %d bytes", d.limits.frame)
}

// endLine takes the line that ends with the LF at end.
func (d *decoder) endLine(p []byte, end int) error {
	if err := d.checkLine(end-d.line, end+1); err != nil {
		return err
	}
	from, to := d.line, end
	d.line, d.seen = end+1, end+1
	if to > from && p[to-1] == '\r' && d.version != v11 {
		to-- // STOMP 1.2, Augmented BNF: EOL = [CR] LF. In 1.1 a CR is part of the line.
	}
	switch {
	case d.state == atCommand:
		d.state = inHeaders
		return d.setCommand(p[from:to])
	case to == from:
		d.state = inBody
		return d.endHead(p[:d.seen])
	}
	return d.addField(p, from, to)
}

func (d *decoder) setCommand(line []byte) error {
	d.f.command = parseCommand(line)
	d.f.literal = d.version == v10 || d.f.command == cmdConnect
	if d.f.command == cmdUnknown && bytes.IndexByte(line, 0) >= 0 {
		return errNulInHead
	}
	return nil
}

func (d *decoder) addField(p []byte, from, to int) error {
	colon := bytes.IndexByte(p[from:to], ':')
	if colon < 0 {
		return badFrame("Send headers as name:value, and an empty line before the body.",
			"header line %d has no colon", len(d.f.fields)+1)
	}
	if colon == 0 {
		return badFrame("Send headers as name:value.", "header line %d has no name", len(d.f.fields)+1)
	}
	if len(d.f.fields) >= d.limits.headers {
		return badFrame("The listener option "+optHeaders+" is the limit.",
			"frame has more than %d headers", d.limits.headers)
	}
	h := field{
		key:   span{uint32(from), uint32(from + colon)},
		value: span{uint32(from + colon + 1), uint32(to)},
	}
	if d.version == v10 {
		h.value = trimBlanks(p, h.value)
	}
	h.name = lookupHeader(p[from : from+colon])
	d.f.fields = append(d.f.fields, h)
	if h.name != headerOther && d.f.first[h.name] == 0 {
		d.f.first[h.name] = uint16(len(d.f.fields))
	}
	return nil
}

func trimBlanks(p []byte, s span) span {
	for s.from < s.to && (p[s.from] == ' ' || p[s.from] == '\t') {
		s.from++
	}
	for s.from < s.to && (p[s.to-1] == ' ' || p[s.to-1] == '\t') {
		s.to--
	}
	return s
}

// endHead checks the whole head at once, which is cheaper than line by line,
// and finds out how long the body is.
func (d *decoder) endHead(head []byte) error {
	f := &d.f
	f.raw = head
	if bytes.IndexByte(head, 0) >= 0 {
		return errNulInHead
	}
	if !utf8.Valid(head) {
		return badFrame("Encode command and headers as UTF-8.", "command and headers are not valid UTF-8")
	}
	escapes := bytes.IndexByte(head, '\\') >= 0
	f.plain = !escapes && bytes.IndexByte(head, '\r') < 0 && bytes.Count(head, colonByte) == len(f.fields)
	if escapes && !f.literal {
		if err := d.unescapeFields(head); err != nil {
			return err
		}
	}
	return d.measure()
}

var colonByte = []byte{':'}

// unescapeFields checks all escapes and decodes the values of the headers that
// the frontend interprets. The others stay as they are: that is the form in
// which a message keeps them.
func (d *decoder) unescapeFields(head []byte) error {
	for i := range d.f.fields {
		h := &d.f.fields[i]
		for _, s := range [...]span{h.key, h.value} {
			if c, ok := checkEscapes(head[s.from:s.to], d.version); !ok {
				return badFrame("STOMP "+d.version.String()+" knows "+knownEscapes(d.version)+".",
					"undefined escape sequence \\%s in header line %d", printable(c), i+1)
			}
		}
		if h.name != headerOther {
			v := unescapeInPlace(head[h.value.from:h.value.to])
			h.value.to = h.value.from + uint32(len(v))
		}
	}
	return nil
}

// measure reads content-length and holds the limits against it. Nothing is
// allocated by it.
func (d *decoder) measure() error {
	v, ok := d.f.value(headerContentLength)
	if !ok {
		return nil
	}
	n, ok := parseUint(bytes.TrimSpace(v))
	switch {
	case !ok:
		return badFrame("content-length is the body's length in bytes, in decimal digits.",
			"header content-length is not a number: %q", clip(v))
	case n > uint64(d.limits.body):
		return d.bodyTooLong()
	case int(n)+1 > d.limits.frame-d.seen:
		return d.tooLong()
	}
	d.f.sized = true
	d.need = d.seen + int(n) + 1
	return nil
}

func (d *decoder) bodyTooLong() error {
	return badFrame("The listener option "+optBody+" is the limit, and the broker's largest message.",
		"body is longer than %d bytes", d.limits.body)
}

// endBody completes the frame if all of it is in p, and returns its length.
func (d *decoder) endBody(p []byte) (int, error) {
	head := d.line
	end := d.need - 1
	switch {
	case d.f.sized && len(p) < d.need:
		return 0, nil
	case d.f.sized && p[end] != 0:
		return 0, badFrame("Count content-length in bytes, not in characters, and end the frame with NUL.",
			"no NUL after the %d bytes that content-length announced", end-head)
	case !d.f.sized:
		i := bytes.IndexByte(p[d.seen:], 0)
		end = d.seen + i
		if i < 0 {
			d.seen, end = len(p), len(p)
		}
		if end-head > d.limits.body {
			return 0, d.bodyTooLong()
		}
		if end >= d.limits.frame {
			return 0, d.tooLong()
		}
		if i < 0 {
			return 0, nil
		}
	}
	d.f.raw = p[:end+1]
	d.f.body = p[head:end]
	return end + 1, nil
}

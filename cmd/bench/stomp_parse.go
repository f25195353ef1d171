package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxStompHead bounds a frame's command and headers.
const maxStompHead = 64 << 10

var (
	errStompLength = errors.New("STOMP: content-length is not a number within limits")
	errStompEnd    = errors.New("STOMP: the body is not followed by a NUL")
	errStompHead   = errors.New("STOMP: the headers have no end")
)

// stompHead is what the generator looks at in a frame's headers. Offsets and
// not strings, so that a frame costs no allocation.
type stompHead struct {
	end           int    // where the body starts, 0 when the headers are not complete
	contentLength int    // -1 when there is none
	ack           []byte // MESSAGE, 1.2
	messageID     []byte // MESSAGE, 1.1
	receipt       []byte // RECEIPT
}

// next parses one frame in place.
func (c *stompCodec) next(buf []byte, e *event) (int, error) {
	e.kind, e.body, e.ack = eventIgnored, nil, nil
	if len(buf) == 0 {
		return 0, nil
	}
	if buf[0] == '\n' || buf[0] == '\r' { // heart-beats, and the EOL that may follow a frame
		return 1, nil
	}
	var h stompHead
	if err := h.read(buf); err != nil || h.end == 0 {
		return 0, err
	}
	body, size, err := stompBody(buf, &h)
	if err != nil || size == 0 {
		return 0, err
	}
	switch buf[0] {
	case 'M': // MESSAGE
		e.kind, e.body, e.ack = eventDelivery, body, h.ack
		if !c.v12 {
			e.ack = h.messageID
		}
	case 'R': // RECEIPT
		e.kind, e.body = eventConfirm, h.receipt
		if len(h.receipt) != stampSize {
			e.kind = eventReply
		}
	default: // ERROR, or something that a client is never sent
		e.kind, e.body = eventRefusal, []byte(stompWords(buf[:h.end], body))
	}
	return size, nil
}

// read finds the headers that matter. The first occurrence of a header counts
// (STOMP 1.2, repeated header entries).
func (h *stompHead) read(buf []byte) error {
	h.contentLength = -1
	at := bytes.IndexByte(buf, '\n') + 1
	if at == 0 {
		return tooLongHead(buf)
	}
	for {
		n := bytes.IndexByte(buf[at:], '\n')
		if n < 0 {
			return tooLongHead(buf)
		}
		line := buf[at : at+n]
		at += n + 1
		if n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		if len(line) == 0 {
			h.end = at
			return nil
		}
		if err := h.line(line); err != nil {
			return err
		}
	}
}

func tooLongHead(buf []byte) error {
	if len(buf) > maxStompHead {
		return errStompHead
	}
	return nil
}

// line looks at one header. The first character decides for nearly all.
func (h *stompHead) line(line []byte) error {
	switch line[0] {
	case 'c':
		if v, ok := stompValue(line, "content-length:"); ok && h.contentLength < 0 {
			n, err := stompLength(v)
			h.contentLength = n
			return err
		}
	case 'a':
		if v, ok := stompValue(line, "ack:"); ok && h.ack == nil {
			h.ack = v
		}
	case 'm':
		if v, ok := stompValue(line, "message-id:"); ok && h.messageID == nil {
			h.messageID = v
		}
	case 'r':
		if v, ok := stompValue(line, "receipt-id:"); ok && h.receipt == nil {
			h.receipt = v
		}
	}
	return nil
}

func stompValue(line []byte, name string) ([]byte, bool) {
	if len(line) < len(name) || string(line[:len(name)]) != name {
		return nil, false
	}
	return line[len(name):], true
}

func stompLength(v []byte) (int, error) {
	if len(v) == 0 || len(v) > 9 {
		return 0, errStompLength
	}
	n := 0
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, errStompLength
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// stompBody returns the body and the size of the whole frame, 0 when it is not
// all there.
func stompBody(buf []byte, h *stompHead) ([]byte, int, error) {
	rest := buf[h.end:]
	n := h.contentLength
	if n < 0 {
		if n = bytes.IndexByte(rest, 0); n < 0 {
			return nil, 0, nil
		}
	}
	if len(rest) <= n {
		return nil, 0, nil
	}
	if rest[n] != 0 {
		return nil, 0, errStompEnd
	}
	return rest[:n], h.end + n + 1, nil
}

// splitStomp is the slow way to take a frame apart, for the handshake: head is
// the command and the headers. size is 0 when the frame is not complete.
func splitStomp(buf []byte) (head, body []byte, size int, err error) {
	skipped := len(buf) - len(bytes.TrimLeft(buf, "\r\n"))
	var h stompHead
	if err := h.read(buf[skipped:]); err != nil || h.end == 0 {
		return nil, nil, 0, err
	}
	body, size, err = stompBody(buf[skipped:], &h)
	if err != nil || size == 0 {
		return nil, nil, 0, err
	}
	return buf[skipped : skipped+h.end], body, skipped + size, nil
}

// stompHeader returns a header of a split frame, unescaped, or "".
func stompHeader(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		if v, ok := stompValue(bytes.TrimRight(line, "\r\n"), name+":"); ok {
			return stompUnescaper.Replace(string(v))
		}
	}
	return ""
}

// stompWords is what an ERROR frame says, on one line.
func stompWords(head, body []byte) string {
	command, _, _ := bytes.Cut(head, []byte("\n"))
	words := strings.TrimSpace(stompHeader(head, "message") + ": " + firstLine(body))
	if string(bytes.TrimRight(command, "\r")) != "ERROR" {
		words = fmt.Sprintf("unexpected %.20q frame", command)
	}
	return strings.Trim(words, ": ")
}

// firstLine of what may be a whole stack trace.
func firstLine(b []byte) string {
	b, _, _ = bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(b[:min(len(b), 300)])
}

package websocket

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// headerLimit is the largest request header in bytes: what a pooled buffer
// holds.
const headerLimit = wireBufferSize

// replyTimeout is how long a client may take to read why it was refused.
const replyTimeout = 2 * time.Second

// refusal is an HTTP answer that ends the connection; with 200 it is a
// friendly one.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// asRefusal returns the answer that err is, nil if the client isn't there to
// read one.
func asRefusal(err error) *refusal {
	r, _ := errors.AsType[*refusal](err)
	return r
}

// readRequest reads a request's header. What follows it stays on the wire.
func readRequest(w *wire) (*http.Request, error) {
	scanned := 0
	for {
		if end := headEnd(w.left, scanned); end > 0 {
			r, err := parseRequest(w.left[:end])
			w.consume(end)
			return r, err
		}
		scanned = len(w.left)
		if scanned >= headerLimit {
			return nil, refuse(http.StatusRequestHeaderFieldsTooLarge, "The header is larger than %d bytes.", headerLimit)
		}
		if err := w.fill(); err != nil {
			return nil, err
		}
	}
}

// headEnd returns the length of the header at the start of b, 0 if it is
// incomplete. The first scanned bytes hold no end of it.
func headEnd(b []byte, scanned int) int {
	from := max(0, scanned-2)
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		switch rest := b[from:]; {
		case len(rest) >= 1 && rest[0] == '\n':
			return from + 1
		case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
			return from + 2
		}
	}
}

// parseRequest reads a complete header.
func parseRequest(head []byte) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(head), 1024))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "This is no HTTP request.")
	}
	return r, nil
}

// checkRequest refuses what neither a browser nor a WebSocket client sends.
func checkRequest(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refuse(http.StatusMethodNotAllowed, "This port takes GET only.")
	case r.ProtoMajor != 1:
		return refuse(http.StatusHTTPVersionNotSupported, "This port speaks HTTP/1.1.")
	case r.ProtoMinor > 0 && r.Host == "":
		return refuse(http.StatusBadRequest, "The Host header is missing.")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return refuse(http.StatusBadRequest, "A request here has no body.")
	}
	return nil
}

// isUpgrade reports whether a request wants to become a WebSocket. What else
// it needs is checked by the upgrade.
func isUpgrade(r *http.Request) bool {
	return headerHas(r.Header, "Upgrade", "websocket")
}

// headerHas looks for a word in a comma-separated header.
func headerHas(h http.Header, name, word string) bool {
	for _, line := range h.Values(name) {
		for w := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(w), word) {
				return true
			}
		}
	}
	return false
}

// greeting says what the port is.
func (f *Frontend) greeting() string {
	var names []string
	for _, family := range slices.Sorted(maps.Keys(f.families)) {
		names = append(names, subprotocols[family]...)
	}
	return "This is a message broker's WebSocket port; subprotocols: " + strings.Join(names, ", ") + "."
}

// refuse answers and closes. r is nil if the request could not be read, and so
// is no if the client isn't there.
func (f *Frontend) refuse(c *protocols.Conn, no *refusal, r *http.Request) {
	if no == nil {
		_ = c.Close() // the connection has failed already
		return
	}
	f.log.Debug("HTTP request answered", "conn", c.ID, "status", no.status, "text", no.text)
	if err := reply(c, no, r != nil && r.Method == http.MethodHead); err != nil {
		_ = c.Close() // nobody reads
		return
	}
	c.Goodbye()
}

func reply(c *protocols.Conn, no *refusal, headOnly bool) error {
	body := no.text + "\n"
	extra := ""
	switch no.status {
	case http.StatusMethodNotAllowed:
		extra = "Allow: GET, HEAD\r\n"
	case http.StatusUpgradeRequired:
		extra = "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
	}
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n", no.status, http.StatusText(no.status), extra, len(body))
	if !headOnly {
		text += body
	}
	if err := c.SetWriteDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	_, err := io.WriteString(c, text)
	return err
}

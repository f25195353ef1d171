package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Frame is a STOMP frame with its headers unescaped.
type Frame struct {
	Command string
	Headers map[string]string // of a header that is repeated the first
	Body    []byte
}

// New makes a frame from header names and values in turn.
func New(command string, headers ...string) Frame {
	f := Frame{Command: command, Headers: make(map[string]string, len(headers)/2)}
	for i := 0; i+1 < len(headers); i += 2 {
		f.Headers[headers[i]] = headers[i+1]
	}
	return f
}

// String shows a frame in an error.
func (f Frame) String() string {
	return fmt.Sprintf("%s %v, body of %d bytes", f.Command, f.Headers, len(f.Body))
}

// RefusedError is an ERROR from the broker.
type RefusedError struct{ Frame Frame }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the broker answered ERROR %q: %s", e.Frame.Headers["message"], e.Frame.Body)
}

// Conn is a connection.
type Conn struct {
	net.Conn
	in      *bufio.Reader
	out     *bufio.Writer
	timeout time.Duration
}

// maxBody is the largest body that Read takes.
const maxBody = 256 << 20

// Dial connects. timeout bounds that and each later write.
func Dial(addr string, timeout time.Duration) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return Use(c, timeout), nil
}

// Use speaks STOMP over a connection that the caller made.
func Use(c net.Conn, timeout time.Duration) *Conn {
	return &Conn{Conn: c, in: bufio.NewReader(c), out: bufio.NewWriter(c), timeout: timeout}
}

// Open connects and sends CONNECT with additional headers.
func Open(addr string, timeout time.Duration, headers ...string) (*Conn, error) {
	c, err := Dial(addr, timeout)
	if err != nil {
		return nil, err
	}
	f := New("CONNECT", append([]string{"accept-version", "1.2", "host", "localhost"}, headers...)...)
	if err = c.Send(f); err == nil {
		_, err = c.Expect("CONNECTED", timeout)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("log in to %s: %w", addr, err)
	}
	return c, nil
}

// Send writes a frame and flushes.
func (c *Conn) Send(f Frame) error {
	if err := c.Put(f); err != nil {
		return err
	}
	return c.Flush()
}

// Put writes a frame into the buffer.
func (c *Conn) Put(f Frame) error {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	_, err := c.out.Write(Encode(f))
	return err
}

// Flush sends what Put wrote.
func (c *Conn) Flush() error { return c.out.Flush() }

// Reset closes the connection without a farewell, so that the broker sees a
// reset.
func (c *Conn) Reset() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return err
		}
	}
	return c.Close()
}

var escape = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, ":", `\c`)

// Encode returns a frame's bytes. A body brings its content-length, unless a
// header gives one.
func Encode(f Frame) []byte {
	var b bytes.Buffer
	b.WriteString(f.Command + "\n")
	for k, v := range f.Headers {
		if f.Command != "CONNECT" {
			k, v = escape.Replace(k), escape.Replace(v)
		}
		b.WriteString(k + ":" + v + "\n")
	}
	if _, given := f.Headers["content-length"]; len(f.Body) > 0 && !given {
		b.WriteString("content-length:" + strconv.Itoa(len(f.Body)) + "\n")
	}
	b.WriteByte('\n')
	b.Write(f.Body)
	b.WriteByte(0)
	return b.Bytes()
}

// Read returns the next frame; heart-beats are passed over. With timeout 0 it
// waits as long as it takes.
func (c *Conn) Read(timeout time.Duration) (Frame, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return Frame{}, err
	}
	command := ""
	for command == "" {
		line, err := c.line()
		if err != nil {
			return Frame{}, err
		}
		command = line
	}
	f := Frame{Command: command, Headers: map[string]string{}}
	if err := c.headers(&f); err != nil {
		return f, fmt.Errorf("headers of %s: %w", command, unexpected(err))
	}
	var err error
	if f.Body, err = c.body(f.Headers["content-length"]); err != nil {
		return f, fmt.Errorf("body of %s: %w", command, unexpected(err))
	}
	return f, nil
}

// Expect reads a frame that must be of that command. An ERROR is returned as
// *RefusedError.
func (c *Conn) Expect(command string, timeout time.Duration) (Frame, error) {
	f, err := c.Read(timeout)
	switch {
	case err != nil:
		return f, fmt.Errorf("wait for %s: %w", command, err)
	case f.Command == command:
		return f, nil
	case f.Command == "ERROR":
		return f, &RefusedError{f}
	default:
		return f, fmt.Errorf("got %s instead of %s", f, command)
	}
}

// unexpected marks an end in the middle of a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *Conn) line() (string, error) {
	line, err := c.in.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

func (c *Conn) headers(f *Frame) error {
	for {
		line, err := c.line()
		if err != nil || line == "" {
			return err
		}
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("%q is no header", line)
		}
		if f.Command != "CONNECTED" {
			k, v = Unescape(k), Unescape(v)
		}
		if _, repeated := f.Headers[k]; !repeated {
			f.Headers[k] = v
		}
	}
}

var unescape = strings.NewReplacer(`\\`, "\\", `\n`, "\n", `\r`, "\r", `\c`, ":")

// Unescape undoes the escaping of a header's name or value.
func Unescape(s string) string { return unescape.Replace(s) }

func (c *Conn) body(length string) ([]byte, error) {
	if length == "" {
		body, err := c.in.ReadBytes(0)
		if err != nil {
			return nil, err
		}
		return body[:len(body)-1], nil
	}
	n, err := strconv.Atoi(length)
	if err != nil || n < 0 || n > maxBody {
		return nil, fmt.Errorf("content-length %q", length)
	}
	body := make([]byte, n+1)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return nil, err
	}
	if body[n] != 0 {
		return nil, fmt.Errorf("no NUL behind %d bytes of body", n)
	}
	return body[:n], nil
}

package protocols

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// stashSize is what WaitReadable reads ahead where it can't wait otherwise
// (TLS).
const stashSize = 512

// errTooMuch ends a look at bytes that fit no header.
var errTooMuch = errors.New("more bytes than any header has")

// stream is a connection whose first bytes can be looked at before they are
// read, and which can be waited for. There is one on the socket, which counts,
// and one on TLS.
type stream struct {
	// immutable
	net.Conn
	tcp *net.TCPConn    // nil on TLS and on what is no TCP
	raw syscall.RawConn // of tcp

	// owned by the reader
	head     []byte // read from Conn and not yet by the frontend
	more     bool   // the last read filled its buffer: the next finds more
	woken    bool   // the poller said readable
	readable func(fd uintptr) bool

	// any goroutine
	in, out atomic.Uint64 // bytes
}

func newStream(c net.Conn) *stream {
	s := &stream{Conn: c}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return s
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return s // closed already: Read will say so
	}
	s.tcp, s.raw, s.readable = tcp, raw, s.isReadable
	return s
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		if len(s.head) == 0 {
			s.head = nil
		}
		return n, nil
	}
	n, err := s.Conn.Read(p)
	s.in.Add(uint64(n))
	s.more = n == len(p)
	return n, err
}

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.out.Add(uint64(n))
	return n, err
}

// WriteBuffers writes and empties b.
func (s *stream) WriteBuffers(b *net.Buffers) (int64, error) {
	if s.tcp == nil {
		return b.WriteTo(s.Conn)
	}
	n, err := b.WriteTo(s.tcp)
	s.out.Add(uint64(n))
	return n, err
}

// CloseWrite ends our direction of the connection.
func (s *stream) CloseWrite() error {
	if w, ok := s.Conn.(writeCloser); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// WaitReadable implements ReadWaiter. On TCP it waits for the poller. On TLS
// it reads a little ahead; when that little was not all, the next call returns
// at once so that the frontend reads with its own buffer.
func (s *stream) WaitReadable() error {
	if len(s.head) > 0 {
		return nil
	}
	if s.more {
		s.more = false
		return nil
	}
	if s.raw != nil {
		s.woken = false
		return s.raw.Read(s.readable)
	}
	stash := make([]byte, stashSize)
	n, err := s.Conn.Read(stash)
	s.in.Add(uint64(n))
	s.head, s.more = stash[:n], n == stashSize
	if n > 0 {
		return nil // the error comes again
	}
	return err
}

// isReadable is called by the poller: once before it waits, because it tells
// of changes only, and again when something changed.
func (s *stream) isReadable(fd uintptr) bool {
	if s.woken {
		return true
	}
	s.woken = true
	return peekable(fd)
}

// fill reads once more into head, which it grows to limit bytes at most, and
// returns the bytes seen so far.
func (s *stream) fill(limit int) ([]byte, error) {
	have := len(s.head)
	if have >= limit {
		return s.head, errTooMuch
	}
	if cap(s.head) == have {
		grown := make([]byte, have, min(limit, max(64, 2*have)))
		copy(grown, s.head)
		s.head = grown
	}
	n, err := s.Conn.Read(s.head[have:min(cap(s.head), limit)])
	s.in.Add(uint64(n))
	s.head = s.head[:have+n]
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	if n > 0 {
		err = nil // it comes again
	}
	return s.head, err
}

// consume forgets the first n bytes of head.
func (s *stream) consume(n int) { s.head = s.head[n:] }

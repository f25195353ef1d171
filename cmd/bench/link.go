package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

const (
	readSize = 256 << 10
	// maxFrame bounds the read buffer beyond --size: headers, and other
	// people's messages.
	frameSlack = 1 << 20
	// replyTimeout bounds the wait for CONNECTED and for receipts of
	// control requests.
	replyTimeout = 30 * time.Second
)

// errNoReply says that the broker did not answer a control request in time.
var errNoReply = errors.New("the broker did not answer in time")

// dialer opens connections to the broker.
type dialer struct {
	address  string // host:port
	protocol protocol
	credentials
	maxFrame int // bytes
	clock    clock
}

// link is one connection. Its reading goroutine owns the read buffer; writes
// may come from any goroutine (net.Conn keeps each whole).
type link struct {
	conn    net.Conn
	codec   codec
	clock   clock
	buf     []byte
	limit   int           // of buf
	replies chan struct{} // one per control request
	leaving atomic.Bool   // the end of the stream is no error any more
	answers []byte        // of the read that is being parsed
}

// receiver is what a link's reader feeds. All calls come from that goroutine.
type receiver interface {
	// receive gets deliveries and confirmations; now is when they were read.
	receive(e *event, now int64) error
	// flush runs after the last frame of each read.
	flush(now int64) error
}

// connect dials and introduces itself.
func (d *dialer) connect(ctx context.Context) (*link, error) {
	return d.connectFrom(ctx, nil)
}

func (d *dialer) connectFrom(ctx context.Context, local net.Addr) (*link, error) {
	nd := net.Dialer{Timeout: replyTimeout, LocalAddr: local, KeepAlive: -1}
	conn, err := nd.DialContext(ctx, "tcp", d.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	err = conn.SetDeadline(time.Now().Add(replyTimeout))
	var c codec
	if err == nil {
		c, err = d.protocol.open(conn, d.credentials)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to %s: %w", d.address, err)
	}
	return &link{conn: conn, codec: c, clock: d.clock, limit: d.maxFrame, replies: make(chan struct{}, 2)}, nil
}

// read feeds r until the connection ends. It returns nil when that was our own
// wish.
func (l *link) read(r receiver) error {
	l.buf = make([]byte, readSize)
	start, end := 0, 0
	var e event
	for {
		n, err := l.conn.Read(l.buf[end:])
		if n > 0 {
			now := l.clock.ticks()
			end += n
			used, perr := l.parse(l.buf[start:end], &e, r, now)
			if start += used; perr != nil {
				return perr
			}
			start, end = l.makeRoom(start, end)
			if end == len(l.buf) {
				return fmt.Errorf("a frame is larger than %d bytes", l.limit)
			}
		}
		if err != nil {
			return l.ended(err)
		}
	}
}

// parse feeds all whole frames of b and returns how many bytes they had.
func (l *link) parse(b []byte, e *event, r receiver, now int64) (int, error) {
	at := 0
	for at < len(b) {
		n, err := l.codec.next(b[at:], e)
		if err != nil {
			return at, err
		}
		if n == 0 {
			break
		}
		at += n
		if e.answers {
			l.answers = append(l.answers, e.answer, 2, byte(e.id>>8), byte(e.id))
		}
		if err := l.dispatch(e, r, now); err != nil {
			return at, err
		}
	}
	if err := l.answer(); err != nil {
		return at, err
	}
	return at, r.flush(now)
}

// answer writes what the packets of a read ask for.
func (l *link) answer() error {
	if a, ok := l.codec.(answerer); ok {
		l.answers = a.appendAnswers(l.answers)
	}
	if len(l.answers) == 0 {
		return nil
	}
	_, err := l.conn.Write(l.answers)
	l.answers = l.answers[:0]
	if err != nil && !l.leaving.Load() {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

func (l *link) dispatch(e *event, r receiver, now int64) error {
	switch e.kind {
	case eventDelivery, eventConfirm:
		return r.receive(e, now)
	case eventReply:
		select {
		case l.replies <- struct{}{}:
			return nil
		default:
			return errors.New("the broker answers what it was not asked")
		}
	case eventRefusal:
		return &refusal{words: string(e.body)}
	case eventIgnored:
	}
	return nil
}

// makeRoom moves an incomplete frame to the front, and doubles the buffer when
// that is not enough.
func (l *link) makeRoom(start, end int) (int, int) {
	if start == end {
		return 0, 0
	}
	if start > 0 && len(l.buf)-end < len(l.buf)/4 {
		end = copy(l.buf, l.buf[start:end])
		start = 0
	}
	if end == len(l.buf) && start == 0 && len(l.buf) < l.limit {
		grown := make([]byte, min(2*len(l.buf), l.limit))
		copy(grown, l.buf)
		l.buf = grown
	}
	return start, end
}

// ended makes words of the end of a stream.
func (l *link) ended(err error) error {
	if l.leaving.Load() {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the broker closed the connection")
	}
	return fmt.Errorf("read: %w", err)
}

// blame returns why a write failed with err. A broker that refuses says so and
// closes: what its words were only the reader knows, so it gets a moment.
func (l *link) blame(ctx context.Context, err error) error {
	moment := time.NewTimer(replyTimeout / 3)
	defer moment.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-moment.C:
		return err
	}
}

// request writes a control request and waits for its reply, which the reader
// must be running to see.
func (l *link) request(ctx context.Context, what string, frame []byte) error {
	if _, err := l.conn.Write(frame); err != nil {
		return l.blame(ctx, fmt.Errorf("%s: %w", what, err))
	}
	timeout := time.NewTimer(replyTimeout)
	defer timeout.Stop()
	select {
	case <-l.replies:
		return nil
	case <-timeout.C:
		return fmt.Errorf("%s: %w", what, errNoReply)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitReply reads until a control request is answered, for a link that has no
// reader.
func (l *link) awaitReply() error {
	if err := l.conn.SetReadDeadline(time.Now().Add(replyTimeout)); err != nil {
		return err
	}
	buf := make([]byte, 0, 4096)
	var e event
	for {
		n, err := l.conn.Read(buf[len(buf):cap(buf)])
		if buf = buf[:len(buf)+n]; n == 0 {
			return fmt.Errorf("wait for a reply: %w", l.ended(err))
		}
		for {
			size, err := l.codec.next(buf, &e)
			switch {
			case err != nil:
				return err
			case size > 0 && e.kind == eventReply:
				return nil
			case size > 0 && e.kind == eventRefusal:
				return &refusal{words: string(e.body)}
			}
			if size == 0 {
				break
			}
			buf = buf[:copy(buf, buf[size:])]
		}
		if len(buf) == cap(buf) {
			return fmt.Errorf("a reply is larger than %d bytes", cap(buf))
		}
	}
}

// hostPort completes a --server value: "host", "host:port" or
// "scheme://host:port".
func hostPort(server, defaultPort string) (string, error) {
	if _, rest, ok := strings.Cut(server, "://"); ok {
		server = strings.TrimSuffix(rest, "/")
	}
	if server == "" {
		return "", errors.New("--server is empty: give host:port")
	}
	if _, _, err := net.SplitHostPort(server); err == nil {
		return server, nil
	}
	address := net.JoinHostPort(strings.Trim(server, "[]"), defaultPort)
	if strings.ContainsAny(server, "/?@ ") || strings.Count(server, ":") == 1 {
		return "", fmt.Errorf("--server %q is not host:port", server)
	}
	return address, nil
}

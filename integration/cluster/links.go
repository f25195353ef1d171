package cluster

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Link is the way by which one node reaches another for replication: a proxy
// that can swallow what goes over it.
type Link struct {
	From, To string
	Address  string // where From dials

	listener net.Listener
	target   string
	forth    atomic.Bool // swallow what From sends
	back     atomic.Bool // swallow what To answers

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	run   sync.WaitGroup
}

func newLink(from, to, target string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{From: from, To: to, Address: listener.Addr().String(), listener: listener, target: target, conns: make(map[net.Conn]struct{})}
	l.run.Go(l.accept)
	return l, nil
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.run.Go(func() { l.carry(c) })
	}
}

func (l *Link) carry(c net.Conn) {
	defer l.drop(c)
	l.add(c)
	up, err := net.DialTimeout("tcp", l.target, time.Second)
	if err != nil {
		return
	}
	defer l.drop(up)
	l.add(up)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pipe(up, c, &l.forth)
		l.drop(up)
		l.drop(c)
	}()
	pipe(c, up, &l.back)
	l.drop(up)
	l.drop(c)
	<-done
}

// pipe copies until an end; what comes while swallow is set is gone, as on a
// network that loses everything and tells nobody.
func pipe(to io.Writer, from io.Reader, swallow *atomic.Bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if swallow.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (l *Link) add(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
}

func (l *Link) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	_ = c.Close() // a second time, perhaps
}

// Cut swallows what goes forth, back, or both.
func (l *Link) Cut(forth, back bool) {
	l.forth.Store(forth)
	l.back.Store(back)
}

// Mend ends a cut. Connections that have lost bytes end: what comes now would
// make no sense on them.
func (l *Link) Mend() {
	l.Cut(false, false)
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Close ends the link.
func (l *Link) Close() {
	_ = l.listener.Close()
	l.Mend()
	l.run.Wait()
}

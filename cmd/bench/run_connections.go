package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// connectors is how many connections are being opened at the same time.
	connectors = 16
	// perSource is how many connections share a source address: below the
	// kernel's range of ports.
	perSource = 20_000
)

// runConnections opens idle connections and weighs them.
func runConnections(ctx context.Context, s *settings, p *progress) (*result, error) {
	crowd := &crowd{s: s, dialer: s.dialer(newClock()), links: make([]*link, s.connections)}
	defer crowd.close()
	meter, err := startMeter(s.pid)
	if err != nil {
		return nil, err
	}
	p.begin("connect")
	if err := crowd.connect(ctx, p); err != nil {
		return nil, err
	}
	busy, err := meter.stop()
	if err != nil {
		return nil, err
	}
	p.begin("settle")
	idle, err := rest(ctx, s)
	if err != nil {
		return nil, err
	}
	c := &connectionResult{Opened: s.connections, Open: crowd.open(), ConnectsPS: perSecond(int64(s.connections), busy.elapsed.Seconds())}
	if s.pid != 0 {
		n := float64(s.connections)
		c.KiBEach = figure(float64(idle.rss-meter.last.rss)/1024/n, 2)
		c.CPUPerConnect = figure(1e6*busy.broker.Seconds()/n, 1)
		c.IdleCPU = figure(100*idle.broker.Seconds()/idle.elapsed.Seconds(), 2)
	}
	r := newResult(s)
	r.Broker, r.Connections = crowd.links[0].codec.peer(), c
	r.setUsage(busy, 0)
	if c.Open < c.Opened {
		return r, fmt.Errorf("the broker closed %d of %d idle connections", c.Opened-c.Open, c.Opened)
	}
	return r, nil
}

// rest measures the broker while nothing happens.
func rest(ctx context.Context, s *settings) (usage, error) {
	meter, err := startMeter(s.pid)
	if err != nil {
		return usage{}, err
	}
	timer := time.NewTimer(s.settle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return usage{}, context.Cause(ctx)
	}
	return meter.stop()
}

// crowd is many connections that nobody reads from.
type crowd struct {
	s      *settings
	dialer *dialer
	links  []*link // nil where not connected
}

func (c *crowd) connect(ctx context.Context, p *progress) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next, done atomic.Int64
	var workers sync.WaitGroup
	for range min(connectors, len(c.links)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(c.links) {
					return
				}
				if err := c.connectOne(ctx, i); err != nil {
					fail(fmt.Errorf("connection %d of %d: %w", i+1, len(c.links), err))
					return
				}
				done.Add(1)
			}
		})
	}
	ended := make(chan struct{})
	go func() { workers.Wait(); close(ended) }()
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return context.Cause(ctx)
		case <-ticker.C:
			p.count(strconv.FormatInt(done.Load(), 10)+" open", done.Load())
		}
	}
}

func (c *crowd) connectOne(ctx context.Context, i int) error {
	k, err := c.dialer.connectFrom(ctx, c.source(i))
	if err != nil {
		return err
	}
	c.links[i] = k
	if !c.s.subscribe {
		return nil
	}
	own := *c.s
	own.queues = len(c.links)
	frame := k.codec.appendSubscribe(nil, subscription{
		destination: own.destinationOf(i), ack: ackMode(c.s.ack), prefetch: c.s.prefetch, headers: c.s.subHeaders,
	})
	if _, err := k.conn.Write(frame); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return k.awaitReply()
}

// source spreads many connections to this machine over its loopback addresses,
// because one address has only so many ports.
func (c *crowd) source(i int) net.Addr {
	if !c.s.loopback() || i < perSource {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i/perSource))}
}

// open counts the connections that the broker has left open.
func (c *crowd) open() int {
	n := 0
	for _, k := range c.links {
		if k.isOpen() {
			n++
		}
	}
	return n
}

// isOpen looks at the socket without waiting and without taking what is there.
func (l *link) isOpen() bool {
	sc, ok := l.conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		open = n > 0 || errors.Is(err, unix.EAGAIN)
	})
	return err == nil && open
}

func (c *crowd) close() {
	for _, k := range c.links {
		if k != nil {
			k.conn.Close()
		}
	}
}

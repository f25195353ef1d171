package amqp

import (
	"slices"
	"sync/atomic"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// link is one link of a session (AMQP 1.0, 2.6). Its handle is the client's.
type link struct {
	// immutable once attached
	sess   *session
	name   string
	handle uint32
	sender bool // the broker sends
	second bool // the receiver settles second: its outcome is answered before it settles
	temp   message.Destination

	// guarded by conn.turn
	over bool // our detach was sent; what comes before the client's is ignored
	in   incoming
	out  outgoingLink

	// any goroutine
	deliveryCount atomic.Uint32 // deliveries begun: the sender's writer's, or the receiver's reader's
	limit         atomic.Uint32 // the delivery count up to which there is credit

	// guarded by conn.mu
	closed  bool   // nothing more is written for it
	handed  uint64 // tag of the last delivery that the broker handed over
	skipped uint32 // credit that drains have used up
}

// outgoingLink is what a link has on which the broker sends.
type outgoingLink struct {
	consumer       *broker.Consumer
	settled        bool // deliveries are settled when they are sent
	durable        string
	global         bool
	defaultOutcome state
}

// incoming is what a link has on which the client sends.
type incoming struct {
	destination message.Destination // zero: each message says where to (anonymous relay)
	producer    *broker.Producer    // nil for a coordinator
	coordinator bool
	partial     incomplete
	cachedTo    string // the last address of an anonymous relay, and what it means
	cached      message.Destination
}

// incomplete is a delivery whose last frame has not come.
type incomplete struct {
	active  bool
	id      uint32
	settled bool
	state   state
	bytes   []byte
}

// linkAt returns the link of a handle.
func (s *session) linkAt(handle uint32) (*link, error) {
	if uint64(handle) >= uint64(len(s.handles)) || s.handles[handle] == nil {
		return nil, badSession(errUnattached, "handle %d is not attached", handle)
	}
	return s.handles[handle], nil
}

// named finds a link by its name and direction, on any session.
func (c *conn) named(name string, sender bool) *link {
	for _, s := range c.sessions {
		if s == nil || s.over {
			continue
		}
		for _, l := range s.handles {
			if l != nil && !l.over && l.sender == sender && l.name == name {
				return l
			}
		}
	}
	return nil
}

// close ends what the link does at the broker; forget removes a durable
// subscription too. Nothing is written for it any more.
func (l *link) close(forget bool) (err error) {
	c := l.sess.conn
	l.over = true
	c.mu.Lock()
	l.closed = true
	c.mu.Unlock()
	l.in.partial = incomplete{}
	if l.in.producer != nil {
		l.in.producer.Close()
	}
	if l.in.coordinator {
		c.rollBackOf(l)
	}
	if l.out.consumer != nil {
		l.out.consumer.Close()
		l.out.consumer = nil
		if forget && l.out.durable != "" {
			err = c.forgetDurable(l.out.durable, l.out.global)
		}
	}
	if !l.temp.IsZero() {
		_ = c.session.DeleteTemp(l.temp) // it may have gone with its session
		c.temps--
		l.temp = message.Destination{}
	}
	return err
}

func (c *conn) forgetDurable(name string, global bool) error {
	if global {
		return c.session.DeleteShared(name)
	}
	return c.session.DeleteDurable(name)
}

// handleDetach ends a link (AMQP 1.0, 2.6.6). A durable subscription stays if
// the link is detached, and goes if it is closed.
func (s *session) handleDetach(d *decoder) error {
	var f detach
	f.decode(d)
	if d.err != nil {
		return malformed("detach", d)
	}
	l, err := s.linkAt(f.handle)
	if err != nil {
		return err
	}
	c := s.conn
	c.mu.Lock()
	answered := l.closed
	c.mu.Unlock()
	err = l.close(f.closed)
	s.handles[f.handle] = nil
	if answered {
		return nil
	}
	answer := detach{handle: f.handle, closed: f.closed}
	// A shared subscription may have other consumers: it stays then.
	if err != nil && broker.CodeOf(err) != broker.CodeInUse && broker.CodeOf(err) != broker.CodeNotFound {
		answer.error = toFault(err, endsLink).wire()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postFrame(s.channel, answer.append)
	return nil
}

// fail ends the link with an error. Its handle is free when the client has
// sent its detach.
func (l *link) fail(f *fault) {
	c := l.sess.conn
	c.log.Info("link ends by an error", "link", clip(l.name), "condition", f.condition, "err", f.text)
	_ = l.close(false) // nothing is forgotten, so nothing fails
	c.mu.Lock()
	defer c.mu.Unlock()
	l.postDetach(true, f)
}

// postDetach queues a detach with an error. c.mu is held.
func (l *link) postDetach(closed bool, f *fault) {
	l.closed = true
	l.sess.conn.front.metrics.errors.Add(1)
	answer := detach{handle: l.handle, closed: closed, error: f.wire()}
	l.sess.conn.postFrame(l.sess.channel, answer.append)
}

// failed ends the link if err says so; other errors are returned.
func (l *link) failed(err error) error {
	if err == nil {
		return nil
	}
	if f := toFault(err, endsLink); f.scope == endsLink {
		l.fail(f)
		return nil
	}
	return err
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

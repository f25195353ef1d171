package amqp

import (
	"math"
	"sync/atomic"
)

// session is one session of a connection (AMQP 1.0, 2.5). Its channel number
// is the client's in both directions, and so are its links' handles.
type session struct {
	// immutable
	conn       *conn
	channel    uint16
	generation uint16 // tells sessions of one channel apart

	// guarded by conn.turn
	handles []*link
	over    bool   // our end was sent; what comes before the client's is ignored
	room    uint32 // transfer frames that the client may send

	// any goroutine
	nextIncoming atomic.Uint32 // transfer-id that the client sends next
	nextOutgoing atomic.Uint32 // transfer-id that the writer uses next
	windowEnd    atomic.Uint32 // the first transfer-id that the client has no room for
	blocked      atomic.Bool   // the writer waits for the window

	// guarded by conn.mu
	closed    bool
	unsettled deliveries

	// owned by the writer
	parked []outItem // what has to wait for the client's window
}

// sessionAt returns the session of a channel, nil if there is none.
func (c *conn) sessionAt(channel uint16) *session {
	if int(channel) >= len(c.sessions) {
		return nil
	}
	return c.sessions[channel]
}

// handleBegin starts a session (AMQP 1.0, 2.7.2).
func (c *conn) handleBegin(channel uint16, d *decoder) error {
	var b begin
	b.decode(d)
	switch {
	case d.err != nil:
		return malformed("begin", d)
	case b.remoteChannel.ok:
		return badConnection(errNotAllowed, "begin answers channel %d, on which nothing was begun here", b.remoteChannel.value)
	case channel > c.channelMax:
		return badConnection(errFraming, "channel %d is above the channel-max of %d", channel, c.channelMax)
	case c.sessionAt(channel) != nil:
		return badConnection(errIllegalState, "channel %d has a session already", channel)
	}
	c.generation = (c.generation + 1) & (1<<generationBits - 1)
	s := &session{conn: c, channel: channel, generation: c.generation, room: incomingWindow}
	s.nextIncoming.Store(b.nextOutgoingID)
	s.windowEnd.Store(b.incomingWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	for int(channel) >= len(c.sessions) {
		c.sessions = append(c.sessions, nil)
	}
	c.sessions[channel] = s
	answer := begin{
		remoteChannel: some(channel), incomingWindow: incomingWindow, outgoingWindow: math.MaxInt32,
		handleMax: uint32(c.set.links - 1),
	}
	c.postFrame(channel, answer.append)
	return nil
}

// handleEnd ends a session (AMQP 1.0, 2.7.8).
func (s *session) handleEnd(d *decoder) error {
	var f end
	f.decode(d)
	if d.err != nil {
		return malformed("end", d)
	}
	c := s.conn
	answered := s.over
	s.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[s.channel] = nil
	if !answered {
		c.postFrame(s.channel, (&end{}).append)
	}
	return nil
}

// fail ends the session with an error. Its channel is free when the client has
// sent its end.
func (s *session) fail(f *fault) {
	c := s.conn
	c.log.Info("session ends by an error", "channel", s.channel, "condition", f.condition, "err", f.text)
	c.front.metrics.errors.Add(1)
	s.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.postFrame(s.channel, (&end{error: f.wire()}).append)
}

// close ends all links.
func (s *session) close() {
	s.over = true
	for _, l := range s.handles {
		if l != nil {
			l.close(false)
		}
	}
	s.handles = nil
	s.conn.mu.Lock()
	s.closed = true
	s.unsettled = deliveries{}
	s.conn.mu.Unlock()
}

// flowFrame is the session's part of a flow frame.
func (s *session) flowFrame() flow {
	return flow{
		nextIncomingID: some(s.nextIncoming.Load()), incomingWindow: incomingWindow,
		nextOutgoingID: s.nextOutgoing.Load(), outgoingWindow: math.MaxInt32,
	}
}

// tokens name deliveries to the broker: bit 63 says that the broker sent it,
// bit 62 that the client settles it first, then come the session's generation,
// its channel and the delivery id.
const (
	noToken     = ^uint64(0)
	tokenSent   = 1 << 63
	tokenSecond = 1 << 62
)

func (s *session) token(id uint32) uint64 {
	return uint64(s.generation)<<48 | uint64(s.channel)<<32 | uint64(id)
}

// byToken finds the session of a token, nil if it has ended. c.mu is held.
func (c *conn) byToken(token uint64) (s *session, id uint32) {
	s = c.sessionAt(uint16(token >> 32))
	if s == nil || s.closed || s.generation != uint16(token>>48)&(1<<generationBits-1) {
		return nil, 0
	}
	return s, uint32(token)
}

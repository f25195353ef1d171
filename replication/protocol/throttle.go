package protocol

import "time"

// throttle keeps what is sent to a follower that catches up to a rate, so that the disks and processors that it takes are
// there for those who send and receive messages.
type throttle struct {
	spare  int           // bytes that may be sent now; below 0: too many were
	rate   int           // bytes a second
	closed bool          // something was held back
	filled time.Duration // when spare last grew
	looked time.Duration // when lag was looked at
	lag    uint64        // records, then
}

// patientFor is how many seconds a follower may take to catch up before it gets more at a time.
const patientFor = 600

// mayHave reports whether p's follower may be sent more now. Members of the in-sync set always may: what they lack holds up
// confirmations, or soon would.
func (n *Node) mayHave(p *progress) bool {
	p.throttle.closed = p.throttle.spare <= 0 && !n.state.Config.Has(p.member)
	return !p.throttle.closed
}

// refill lets p's follower have what has become due. One that doesn't gain on what comes in gets more, or it would
// never be there.
func (n *Node) refill(name string, p *progress) {
	t := &p.throttle
	if t.rate == 0 {
		t.rate = n.o.CatchUp
	}
	lag := n.written.Index - min(p.next.Index, n.written.Index)
	if n.now-t.looked >= time.Second {
		if t.closed && (lag >= t.lag || (t.lag-lag)*patientFor < lag) {
			t.rate *= 2
		}
		t.looked, t.lag = n.now, lag
	}
	due := (n.now - t.filled).Seconds() * float64(t.rate)
	t.spare, t.filled = int(min(float64(t.spare)+due, float64(t.rate)/4)), n.now
	if t.closed {
		n.ship(name, p)
	}
}

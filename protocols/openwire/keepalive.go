package openwire

import (
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// beats are a connection's timers. They note nothing per frame: reads and
// writes store the time, and a timer that fires early starts again for the
// rest. Guarded by conn.mu.
type beats struct {
	in, out *protocols.Timer
	silence time.Duration // after which the client is given up
	every   time.Duration // after which something must have been written
}

// startBeats starts the timers that were agreed on.
func (c *conn) startBeats() {
	r := c.agreed.inactivity
	if r == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := now()
	c.lastIn.Store(t)
	c.lastOut.Store(t)
	// Java looks once in a period: what it calls a time-out of 30 s is up to
	// twice as long. A client that counts on that is not cut off.
	c.beats.silence = 2 * r
	c.beats.every = r / 3
	c.beats.in = c.net.Wheel.NewTimer(c.checkSilence)
	c.beats.in.Reset(c.agreed.delay + c.beats.silence)
	c.beats.out = c.net.Wheel.NewTimer(c.beat)
	c.beats.out.Reset(c.beats.every)
}

func (c *conn) stopBeats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beats.in != nil {
		c.beats.in.Stop()
		c.beats.out.Stop()
	}
}

// checkSilence ends the connection if the client has kept silent for too long.
func (c *conn) checkSilence() {
	if c.isBroken() {
		return // it fired while the connection ended
	}
	if c.waiting.Load() {
		c.beats.in.Reset(c.beats.silence) // we are the ones who don't listen
		return
	}
	if rest := c.beats.silence - time.Duration(now()-c.lastIn.Load()); rest > 0 {
		c.beats.in.Reset(rest)
		return
	}
	c.log.Warn("client has been silent for too long; connection closed", "silence", c.beats.silence)
	c.fail()
}

// beat writes a KeepAliveInfo if nothing was written for long enough.
func (c *conn) beat() {
	if c.isBroken() {
		return
	}
	rest := c.beats.every - time.Duration(now()-c.lastOut.Load())
	if rest <= 0 {
		rest = c.beats.every
		c.mu.Lock()
		if !c.writing {
			c.queue(outItem{structure: &wire.KeepAliveInfo{}})
		}
		c.mu.Unlock()
	}
	c.beats.out.Reset(rest)
}

// keptAlive answers a KeepAliveInfo that asks for it: by itself, not by a
// Response.
func (c *conn) keptAlive(x *wire.KeepAliveInfo) {
	if x.ResponseRequired {
		answer := &wire.KeepAliveInfo{}
		answer.CommandID = x.CommandID
		c.post(answer)
	}
}

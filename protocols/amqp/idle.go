package amqp

import (
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// minIdle is the shortest idle time-out of a client, in milliseconds, that is
// kept to.
const minIdle = 200

// beats are a connection's timers. They note nothing per frame: reads and
// writes store the time, and a timer that fires early starts again for the
// rest.
type beats struct {
	in, out *protocols.Timer
	silence time.Duration // after which the client is given up
	every   time.Duration // after which something must have been written
}

// startBeats starts the timers: the listener's own, and for what the client
// wants (AMQP 1.0, 2.4.5). What open announces is half of what is waited for.
func (c *conn) startBeats(wanted optional[uint32]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := now()
	c.lastIn.Store(t)
	c.lastOut.Store(t)
	if c.set.idle > 0 {
		c.beats.silence = 2 * c.set.idle
		c.beats.in = c.net.Wheel.NewTimer(c.checkSilence)
		c.beats.in.Reset(c.beats.silence)
	}
	if wanted.ok && wanted.value > 0 {
		c.beats.every = time.Duration(wanted.value) * time.Millisecond / 2
		c.beats.out = c.net.Wheel.NewTimer(c.beat)
		c.beats.out.Reset(c.beats.every)
	}
}

func (c *conn) stopBeats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beats.in != nil {
		c.beats.in.Stop()
	}
	if c.beats.out != nil {
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
	if c.isEnding() {
		c.fail() // it does not even read the close
		return
	}
	c.log.Warn("client sent nothing; connection closed", "silence", c.beats.silence)
	c.front.metrics.idle.Add(1)
	c.kill(faultf(endsConnection, errLimit, "local-idle-timeout expired: nothing was received for %v", c.beats.silence))
	c.beats.in.Reset(c.beats.silence)
}

// beat writes an empty frame if nothing was written for long enough.
func (c *conn) beat() {
	if c.isBroken() {
		return
	}
	rest := c.beats.every - time.Duration(now()-c.lastOut.Load())
	if rest <= 0 {
		rest = c.beats.every
		c.mu.Lock()
		if !c.writing && !c.broken && !c.ending {
			c.postFrame(0, func(b []byte) []byte { return b })
		}
		c.mu.Unlock()
	}
	c.beats.out.Reset(rest)
}

package mqtt

import (
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// ping answers PINGREQ (MQTT 5.0, 3.12) [MQTT-3.12.4-1].
func (c *conn) ping(p packet) error {
	if len(p.body) != 0 {
		return malformed("PINGREQ has a body")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(func(b []byte) []byte { return append(b, byte(typePingresp)<<4, 0) })
	return nil
}

// grace is how much longer than the keep alive a client may be silent
// [MQTT-3.1.2-22].
func grace(keepAlive time.Duration) time.Duration { return keepAlive + keepAlive/2 }

// startKeepAlive watches over the client's silence. Nothing is noted per
// packet: reads store the time, and a timer that fires early starts again for
// the rest.
func (c *conn) startKeepAlive() {
	c.lastIn.Store(now())
	if c.terms.keepAlive == 0 {
		return
	}
	t := c.net.Wheel.NewTimer(c.checkSilence)
	c.mu.Lock()
	c.alive = t
	c.mu.Unlock()
	t.Reset(grace(c.terms.keepAlive))
}

func (c *conn) stopKeepAlive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alive != nil {
		c.alive.Stop()
	}
}

func (c *conn) timer() *protocols.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alive
}

// checkSilence ends the connection if the client has kept silent for too long
// [MQTT-3.1.2-22].
func (c *conn) checkSilence() {
	if c.isBroken() {
		return // it fired while the connection ended
	}
	silence := grace(c.terms.keepAlive)
	if c.waiting.Load() {
		c.timer().Reset(silence) // we are the ones who don't listen
		return
	}
	if rest := silence - time.Duration(now()-c.lastIn.Load()); rest > 0 {
		c.timer().Reset(rest)
		return
	}
	if c.isEnding() {
		c.fail() // it does not even read what ended it
		return
	}
	c.log.Info("client kept silent; connection closed", "silence", silence)
	c.front.metrics.silent.Add(1)
	c.kill(faultf(keepAliveTimeout, "nothing was received for %v", silence))
	c.timer().Reset(silence)
}

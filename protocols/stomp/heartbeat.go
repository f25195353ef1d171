package stomp

import (
	"strconv"
	"time"

	"github.com/entrepot-mq/entrepot/protocols"
)

// beat is the time between heart-beats of one direction in milliseconds, 0 for
// none.
type beat int64

const (
	minBeat = 100              // shorter ones are refused by answering with this
	maxBeat = 24 * 3600 * 1000 // longer ones find nothing
)

func newBeat(ms uint64) beat {
	if ms == 0 {
		return 0
	}
	return beat(min(max(ms, minBeat), maxBeat))
}

func (b beat) appendMs(dst []byte) []byte { return strconv.AppendInt(dst, int64(b), 10) }

func (b beat) duration() time.Duration { return time.Duration(b) * time.Millisecond }

// beats are a connection's timers. They note nothing per frame: reads and
// writes store the time, and a timer that fires early starts again for the
// rest.
type beats struct {
	in, out *protocols.Timer
	silence time.Duration // after which the client is given up
	every   time.Duration // after which something must have been written
}

// startBeats starts the timers that were agreed on: in for what the client
// sends, out for what it wants.
func (c *conn) startBeats(in, out beat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := now()
	c.lastIn.Store(t)
	c.lastOut.Store(t)
	if in > 0 {
		c.beats.silence = time.Duration(float64(in.duration()) * c.set.grace)
		c.beats.in = c.net.Wheel.NewTimer(c.checkSilence)
		c.beats.in.Reset(c.beats.silence)
	}
	if out > 0 {
		// A quarter is left for the timer's precision and the way to the client.
		c.beats.every = out.duration() * 3 / 4
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
		c.fail() // it does not even read the ERROR
		return
	}
	c.log.Warn("client sent no heart-beat; connection closed", "silence", c.beats.silence)
	c.front.metrics.heartBeats.Add(1)
	c.kill(&fault{
		text:   "nothing was received for " + c.beats.silence.String(),
		advice: "Send heart-beats as agreed on in CONNECT and CONNECTED, or agree on a longer time.",
	})
	c.beats.in.Reset(c.beats.silence)
}

// beat writes a heart-beat if nothing was written for long enough.
func (c *conn) beat() {
	if c.isBroken() {
		return
	}
	rest := c.beats.every - time.Duration(now()-c.lastOut.Load())
	if rest <= 0 {
		rest = c.beats.every
		c.mu.Lock()
		if !c.writing && !c.broken && !c.ending {
			o := c.queued()
			from := len(o.control)
			o.control = append(o.control, '\n')
			c.posted(o, from)
		}
		c.mu.Unlock()
	}
	c.beats.out.Reset(rest)
}

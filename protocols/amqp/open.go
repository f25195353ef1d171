package amqp

import (
	"math"
	"runtime"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// offered are the connection's capabilities that clients ask for by name.
var offered = []string{"ANONYMOUS-RELAY", "DELAYED_DELIVERY", "SHARED-SUBS", soleConnection, "queue", "topic", "temporary-queue", "temporary-topic"}

// soleConnection is what clients ask for that want no other connection of their
// container: Qpid JMS, whose client ids are unique.
const soleConnection = "sole-connection-for-container"

// handleOpen opens the session (AMQP 1.0, 2.7.1). Whatever is wrong with it is
// said behind an open of our own.
func (c *conn) handleOpen(d *decoder) error {
	if c.stage != stageOpen {
		return badConnection(errIllegalState, "open was sent already")
	}
	var o open
	o.decode(d)
	if d.err != nil {
		return c.refuseOpen(malformed("open", d))
	}
	if err := c.checkOpen(&o); err != nil {
		return c.refuseOpen(err)
	}
	if c.elsewhere != "" {
		return c.refuseOpen(redirected(c.elsewhere))
	}
	r := c.request()
	r.ClientID, r.Joins = o.containerID, !contains(o.desiredCapabilities, soleConnection)
	session, err := c.front.opts.Broker.Connect(r)
	if err != nil {
		f := toFault(err, endsConnection)
		if broker.CodeOf(err) == broker.CodeInternal {
			c.log.Error("connect failed", "err", err)
		}
		if broker.CodeOf(err) == broker.CodeExists {
			f.field = "container-id"
		}
		return c.refuseOpen(f)
	}
	c.session, c.stage = session, stageRunning
	c.outFrame = min(o.maxFrameSize, outgoingFrame)
	c.frameMax = c.set.frame
	c.channelMax = min(uint16(c.set.sessions-1), o.channelMax)
	c.net.Authenticated()
	c.front.metrics.connections.Add(1)
	c.front.metrics.opened.Add(1)
	c.postOpen(nil)
	c.startBeats(o.idleTimeOut)
	c.log.Debug("client connected", "client_id", session.ClientID(), "frame_max", o.maxFrameSize)
	return nil
}

func (c *conn) checkOpen(o *open) error {
	switch {
	case o.containerID == "":
		return badConnection(errInvalidField, "container-id is empty: give the client one of its own")
	case len(o.containerID) > maxName:
		return badConnection(errInvalidField, "container-id is longer than %d bytes", maxName)
	case o.maxFrameSize < minFrame:
		return badConnection(errInvalidField, "max-frame-size is %d; it is %d at least", o.maxFrameSize, minFrame)
	case o.idleTimeOut.ok && o.idleTimeOut.value > 0 && o.idleTimeOut.value < minIdle:
		return badConnection(errNotAllowed, "idle-time-out is %d ms; it is %d at least", o.idleTimeOut.value, minIdle)
	}
	return nil
}

// refuseOpen has an open go out before the close that says what is wrong.
func (c *conn) refuseOpen(err error) error {
	f := toFault(err, endsConnection)
	c.postOpen(f)
	return f
}

func (c *conn) postOpen(refused *fault) {
	text := func(k, v string) message.MapEntry {
		return message.MapEntry{Key: message.SymbolValue(k), Value: message.StringValue(v)}
	}
	entries := []message.MapEntry{
		text("product", "Entrepot"), text("version", c.front.opts.Server), text("platform", runtime.GOOS),
		text("queue-prefix", c.set.names.queue), text("topic-prefix", c.set.names.topic),
	}
	if refused != nil {
		entries = append(entries, message.MapEntry{
			Key: message.SymbolValue("amqp:connection-establishment-failed"), Value: message.BoolValue(true),
		})
	}
	o := open{
		containerID: c.front.opts.Name, maxFrameSize: c.set.frame, channelMax: uint16(c.set.sessions - 1),
		offeredCapabilities: offered, properties: message.MapValue(entries),
	}
	if c.set.idle > 0 {
		o.idleTimeOut = some(uint32(min(c.set.idle/time.Millisecond, math.MaxUint32)))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened = true
	c.postFrame(0, o.append)
}

// handleClose ends the connection in order.
func (c *conn) handleClose(d *decoder) error {
	var f closing
	f.decode(d)
	if d.err != nil {
		return malformed("close", d)
	}
	if f.error != nil {
		c.log.Info("client closes with an error", "condition", f.error.condition, "description", clip(f.error.description))
	}
	return errClose
}

// postClose queues a close frame. c.mu is held.
func (c *conn) postClose(f *fault) {
	if !c.opened {
		return // nothing but the log can say it
	}
	var cl closing
	if f != nil {
		c.front.metrics.errors.Add(1)
		cl.error = f.wire()
	}
	c.postFrame(0, cl.append)
}

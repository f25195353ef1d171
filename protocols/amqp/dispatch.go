package amqp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
)

// handle carries out one frame. It returns the errors that end the connection.
func (c *conn) handle(f frame) error {
	if len(f.body) == 0 {
		if f.kind == frameSASL || c.stage == stageSASL {
			return badConnection(errFraming, "empty frame while SASL frames are exchanged")
		}
		return nil // a sign of life
	}
	if (f.kind == frameSASL) != (c.stage == stageSASL) {
		return badConnection(errFraming, "frame is of type %d at the wrong time", f.kind)
	}
	d := newDecoder(f.body)
	code := d.descriptor()
	if d.err != nil {
		return badConnection(errDecode, "performative: %v", d.err)
	}
	if c.log.Enabled(context.Background(), slog.LevelDebug) && c.stage != stageSASL {
		c.log.Debug("frame received", "channel", f.channel, "performative", performativeNames[code], "bytes", len(f.body))
	}
	if c.stage == stageSASL {
		return c.handleSASL(code, &d)
	}
	return c.settleFault(f.channel, c.perform(f, code, &d))
}

var performativeNames = map[uint64]string{
	codeOpen: "open", codeBegin: "begin", codeAttach: "attach", codeFlow: "flow", codeTransfer: "transfer",
	codeDisposition: "disposition", codeDetach: "detach", codeEnd: "end", codeClosing: "close",
}

// perform carries out a performative. What is kept of those that are not on
// the way of each message is copied with their frame.
func (c *conn) perform(f frame, code uint64, d *decoder) error {
	switch code {
	case codeTransfer, codeDisposition, codeFlow, codeDetach, codeEnd, codeClosing:
	case codeOpen, codeBegin, codeAttach:
		if len(f.body) > maxProperties {
			return badConnection(errLimit, "%s of %d bytes; the limit is %d", performativeNames[code], len(f.body), maxProperties)
		}
		copied := newDecoder(bytes.Clone(d.b))
		d = &copied
	default:
		return badConnection(errNotImplemented, "performative with descriptor %#x is unknown", code)
	}
	if code == codeOpen {
		return c.handleOpen(d)
	}
	if c.stage != stageRunning {
		return badConnection(errIllegalState, "%s before open", performativeNames[code])
	}
	switch code {
	case codeBegin:
		return c.handleBegin(f.channel, d)
	case codeClosing:
		return c.handleClose(d)
	}
	s := c.sessionAt(f.channel)
	if s == nil {
		return badConnection(errIllegalState, "%s on channel %d, which has no session", performativeNames[code], f.channel)
	}
	switch {
	case code == codeEnd:
		return s.handleEnd(d)
	case s.over:
		return nil // sent before our end came
	case code == codeTransfer:
		return s.handleTransfer(d)
	case code == codeDisposition:
		return s.handleDisposition(d)
	case code == codeFlow:
		return s.handleFlow(d)
	case code == codeAttach:
		return s.handleAttach(d)
	}
	return s.handleDetach(d)
}

// settleFault ends what a fault says has to end, and returns it if that is the
// connection.
func (c *conn) settleFault(channel uint16, err error) error {
	if err == nil || errors.Is(err, errClose) {
		return err
	}
	f, ok := errors.AsType[*fault](err)
	if !ok {
		f = toFault(err, endsConnection)
	}
	s := c.sessionAt(channel)
	if f.scope == endsConnection || s == nil {
		return f
	}
	s.fail(f) // faults of links are dealt with where the link is known
	return nil
}

// malformed is the fault of a performative that can't be decoded.
func malformed(name string, d *decoder) error {
	return badConnection(errDecode, "%s: %v", name, d.err)
}

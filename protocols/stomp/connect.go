package stomp

import (
	"bytes"
	"strings"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// connect opens the session (STOMP 1.2, CONNECT or STOMP Frame). Every error
// ends the connection.
func (c *conn) connect(f *frame) error {
	if c.session != nil {
		return badFrame("Send CONNECT once.", "connection has sent CONNECT already")
	}
	v, err := negotiate(f)
	if err != nil {
		return err
	}
	in, out := c.set.beatIn, c.set.beatOut
	if h, ok := f.find("heart-beat"); ok {
		if in, out, err = parseHeartBeat(h); err != nil {
			return err
		}
	}
	session, err := c.openSession(f, v)
	if err != nil {
		fatal := *toFault(err)
		fatal.fatal = true
		return &fatal
	}
	c.start(session, v)
	c.startBeats(in, out)
	c.postConnected(f, in, out)
	c.log.Debug("client connected", "version", v.String(), "client_id", session.ClientID())
	return nil
}

// negotiate picks the highest version that both sides speak. A client that
// names none speaks 1.0.
func negotiate(f *frame) (version, error) {
	accept, ok := f.find("accept-version")
	if !ok {
		return v10, nil
	}
	best, found := v10, false
	for name := range strings.SplitSeq(accept, ",") {
		for v, known := range versionNames {
			if strings.TrimSpace(name) == known {
				best, found = max(best, version(v)), true
			}
		}
	}
	if !found {
		return 0, &fault{
			text:   "none of the versions in accept-version is supported: " + clip([]byte(accept)),
			advice: "This broker speaks STOMP 1.0, 1.1 and 1.2.", fatal: true, vers: true,
		}
	}
	return best, nil
}

func (c *conn) openSession(f *frame, v version) (*broker.Session, error) {
	r := broker.ConnectRequest{
		Protocol: "stomp",
		Version:  v.String(),
		Remote:   c.net.Remote,
		Listener: c.net.Listener,
		TLS:      c.net.TLS,
		Sink:     c,
	}
	r.ClientID, _ = f.find("client-id")
	c.anonymous = r.ClientID == ""
	r.Login, _ = f.find("login")
	r.Passcode, _ = f.find("passcode")
	session, err := c.front.opts.Broker.Connect(r)
	if err != nil && broker.CodeOf(err) == broker.CodeInternal {
		c.log.Error("connect failed", "err", err)
	}
	return session, err
}

// start lifts the limits for strangers.
func (c *conn) start(session *broker.Session, v version) {
	c.session, c.version = session, v
	c.work.dec.version, c.work.dec.limits = v, c.set.frame
	c.net.Authenticated()
	c.front.metrics.connections.Add(1)
	c.front.metrics.opened.Add(1)
}

func (c *conn) postConnected(f *frame, in, out beat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.queued()
	from := len(o.control)
	b := append(o.control, "CONNECTED\nversion:"...)
	b = append(append(b, c.version.String()...), '\n')
	b = appendHeader(b, "session", c.session.ClientID(), v10) // CONNECTED has no escapes
	b = appendHeader(b, "server", c.front.opts.Server, v10)
	b = append(b, "heart-beat:"...)
	b = append(out.appendMs(b), ',')
	b = append(in.appendMs(b), '\n')
	// ActiveMQ: request-id, and receipt too, are answered twofold.
	id, ok := f.find("request-id")
	if !ok {
		id, ok = f.text(headerReceipt), f.first[headerReceipt] != 0
	}
	if ok {
		b = appendHeader(b, "response-id", id, v10)
		b = appendHeader(b, "receipt-id", id, v10)
	}
	o.control = append(append(b, '\n'), frameEnd...)
	c.posted(o, from)
}

// parseHeartBeat reads "<what the client sends>,<what it wants>" in ms.
func parseHeartBeat(s string) (in, out beat, err error) {
	left, right, ok := bytes.Cut([]byte(s), []byte{','})
	a, okA := parseUint(bytes.TrimSpace(left))
	b, okB := parseUint(bytes.TrimSpace(right))
	if !ok || !okA || !okB {
		return 0, 0, badFrame("Write two numbers of milliseconds: heart-beat:10000,10000, 0 for none.",
			"header heart-beat is not two numbers: %q", clip([]byte(s)))
	}
	return newBeat(a), newBeat(b), nil
}

package mqtt

import (
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// connect opens the session (MQTT 5.0, 3.1). Every error is answered with a
// CONNACK, as far as the client's version is known, and ends the connection.
func (c *conn) connect(p packet) error {
	k, err := readConnect(p.body)
	c.version = k.version
	if err != nil {
		return err
	}
	if err := c.settle5(&k); err != nil {
		return err
	}
	if c.elsewhere != "" {
		return redirected(c.elsewhere)
	}
	if k.props.present.has(propAuthMethod) {
		return c.beginAuth(&k, p.body)
	}
	return c.open(&k, nil, nil)
}

// settle5 takes over what CONNECT says of the connection, and checks it.
func (c *conn) settle5(k *connectPacket) error {
	c.version = k.version
	c.terms = terms{
		receiveMaximum: c.set.maxInflight, maximumPacket: maxRemaining + 5, withText: k.props.requestProblem == 1,
		keepAlive: c.keepAlive(k), aliasMaximum: min(int(k.props.aliasMaximum), maxAliases),
	}
	if k.props.present.has(propReceiveMaximum) {
		c.terms.receiveMaximum = min(c.terms.receiveMaximum, int(k.props.receiveMaximum))
	}
	if k.props.present.has(propMaximumPacketSize) {
		c.terms.maximumPacket = min(c.terms.maximumPacket, int(k.props.maximumPacket))
	}
	switch {
	case len(k.clientID) > c.set.clientID:
		return faultf(badClientID, "client identifier has %d bytes, the limit is %d", len(k.clientID), c.set.clientID) // [MQTT-3.1.3-8]
	case len(k.clientID) == 0 && (k.version == v31 || k.version == v311 && !k.cleanStart):
		return faultf(badClientID, "client identifier is empty") // 3.1.1 [MQTT-3.1.3-8]
	}
	return nil
}

// maxAliases is how many topic aliases are used towards a client that takes
// more.
const maxAliases = 256

// keepAlive is the longest time between two packets of the client.
func (c *conn) keepAlive(k *connectPacket) time.Duration {
	d := time.Duration(k.keepAlive) * time.Second
	if d == 0 {
		d = c.set.defaultKeepAlive
	}
	if most := c.set.maxKeepAlive; most > 0 && k.version == v5 && (d == 0 || d > most) {
		d = most
	}
	return d
}

// request says who is there, before it is known who that is.
func (c *conn) request() broker.ConnectRequest {
	return broker.ConnectRequest{
		Protocol: "mqtt", Version: c.version.String(), Remote: c.net.Remote, Listener: c.net.Listener,
		TLS: c.net.TLS, TakeOver: true, Sink: c, // [MQTT-3.1.4-3]
	}
}

// open authenticates the client, takes its stored session and answers. id is
// who it is if a method of enhanced authentication has found out, and proof the
// last of its data.
func (c *conn) open(k *connectPacket, id *broker.Identity, proof []byte) error {
	r := c.request()
	r.ClientID, r.Identity = string(k.clientID), id
	if id == nil {
		r.Login, r.Passcode = string(k.userName), string(k.password)
	}
	assigned := r.ClientID == ""
	if assigned {
		r.ClientID = c.assignID() // [MQTT-3.1.3-6] [MQTT-3.1.3-7]
	}
	session, err := c.front.opts.Broker.Connect(r)
	if err != nil {
		if broker.CodeOf(err) == broker.CodeInternal {
			c.log.Error("connect failed", "err", err)
		}
		return refusal(err)
	}
	c.session = session
	c.expiry = c.sessionExpiry(k)
	present, err := c.takeSession(k)
	if err != nil {
		session.Close()
		c.session = nil
		return refusal(err)
	}
	c.net.Authenticated()
	c.front.metrics.connections.Add(1)
	c.front.metrics.opened.Add(1)
	c.startKeepAlive()
	c.postConnack(k, present, assigned, proof)
	c.log.Debug("client connected", "version", c.version.String(), "client_id", session.ClientID(), "session_present", present)
	return c.resume(present)
}

// refusal puts why a session could not be opened into MQTT's words.
func refusal(err error) *fault {
	f := *toFault(err)
	if broker.CodeOf(err) == broker.CodeExists {
		f.reason = badClientID
	}
	return &f
}

// assignID makes a client identifier that nobody else has.
func (c *conn) assignID() string {
	id := c.front.opts.Broker.NewID()
	return "auto-" + strings.ReplaceAll(id.String(), ":", "-")
}

// sessionExpiry is how many seconds the session lives without a connection.
func (c *conn) sessionExpiry(k *connectPacket) uint32 {
	expiry := k.props.sessionExpiry
	if k.version < v5 && !k.cleanStart {
		expiry = broker.NeverExpires
	}
	return min(expiry, c.set.sessionExpiry)
}

// takeSession opens what the broker keeps between connections: the session, if
// it is to outlive this one [MQTT-3.1.2-4] [MQTT-3.1.2-5] [MQTT-3.1.2-6], and the will.
func (c *conn) takeSession(k *connectPacket) (present bool, err error) {
	o := broker.StoreOptions{Clean: k.cleanStart, Expiry: c.expiry}
	if k.hasWill {
		o.Will = c.newWill(&k.will)
	}
	c.stored, present, err = c.session.Store(o)
	return present, err
}

// newWill makes the message that is published if the connection ends without
// DISCONNECT [MQTT-3.1.2-7] [MQTT-3.1.2-8] [MQTT-3.1.2-14] [MQTT-3.1.2-15].
func (c *conn) newWill(w *willFields) *broker.Will {
	name := appendSwapped(nil, alias(w.topic))
	will := &broker.Will{Delay: w.props.willDelay}
	if w.props.present.has(propMessageExpiry) {
		will.Expiry = max(w.props.messageExpiry, 1)
	}
	will.Message = c.newMessage(&publication{qos: w.qos, retain: w.retain, name: name, payload: w.payload, props: &w.props})
	return will
}

// postConnack accepts the connection [MQTT-3.2.0-1].
func (c *conn) postConnack(k *connectPacket, present, assigned bool, proof []byte) {
	var flags byte
	if present && c.version > v31 { // [MQTT-3.2.2-2] [MQTT-3.2.2-3]
		flags = 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.post(func(b []byte) []byte {
		if c.version < v5 {
			return append(b, byte(typeConnack)<<4, 2, flags, 0)
		}
		props := c.connackProperties(k, assigned)
		if c.auth != nil { // [MQTT-4.12.0-6]
			props = appendMethod(props, c.auth.method, proof)
		}
		n := 2 + varintSize(len(props)) + len(props)
		b = append(appendVarint(append(b, byte(typeConnack)<<4), n), flags, byte(success))
		return append(appendVarint(b, len(props)), props...)
	})
}

func (c *conn) connackProperties(k *connectPacket, assigned bool) []byte {
	var p []byte
	if c.expiry != k.props.sessionExpiry {
		p = appendUint32Property(p, propSessionExpiry, c.expiry)
	}
	p = appendUint16Property(p, propReceiveMaximum, uint16(c.set.receiveMaximum))
	p = appendUint32Property(p, propMaximumPacketSize, uint32(c.set.packet))
	if assigned { // [MQTT-3.2.2-16]
		p = appendTextProperty(p, propAssignedClientID, c.session.ClientID())
	}
	if c.set.aliases > 0 {
		p = appendUint16Property(p, propTopicAliasMaximum, uint16(c.set.aliases))
	}
	if c.terms.keepAlive != time.Duration(k.keepAlive)*time.Second { // [MQTT-3.2.2-21]
		seconds := min((c.terms.keepAlive+time.Second-1)/time.Second, 0xffff)
		p = appendUint16Property(p, propServerKeepAlive, uint16(seconds))
	}
	if k.props.requestResponse == 1 { // [MQTT-3.1.2-28]
		p = appendTextProperty(p, propResponseInfo, "reply/"+c.session.ClientID())
	}
	return p
}

// postRefusal answers a CONNECT that failed [MQTT-3.1.4-5] [MQTT-3.2.2-6]. A
// first packet that isn't a CONNECT has no answer. c.mu is held.
func (c *conn) postRefusal(f *fault) {
	switch {
	case c.version == v5:
		var props []byte
		if c.terms.withText {
			props = appendTextProperty(props, propReasonString, clip(f.text))
		}
		if f.reference != "" {
			props = appendTextProperty(props, propServerReference, f.reference)
		}
		c.post(func(b []byte) []byte {
			n := 2 + varintSize(len(props)) + len(props)
			b = append(appendVarint(append(b, byte(typeConnack)<<4), n), 0, byte(f.reason))
			return append(appendVarint(b, len(props)), props...)
		})
	case c.version != 0 && f.reason != malformedPacket && f.reason != protocolError:
		c.post(func(b []byte) []byte { return append(b, byte(typeConnack)<<4, 2, 0, f.reason.connackV3()) })
	}
}

// resume goes on with what the session had: subscriptions that aren't stored in
// its queue, identifiers in use, and what waits [MQTT-4.4.0-1] [MQTT-4.4.0-2].
func (c *conn) resume(present bool) error {
	if c.stored == nil {
		return nil
	}
	if !present {
		return c.consumeStored()
	}
	c.mu.Lock()
	for _, id := range c.stored.Taken() {
		if c.taken == nil {
			c.taken = make(map[uint16]bool)
		}
		c.taken[id] = true
	}
	for _, id := range c.stored.Received() {
		c.flight.add(flying{id: id, stage: stagePubcomp})
		c.postAck(typePubrel, id, success, "")
	}
	c.mu.Unlock()
	for _, s := range c.stored.Subscriptions() {
		c.restore(subscriptionOf(&s))
	}
	return c.consumeStored()
}

// restore starts a subscription of an earlier connection again, if it is not
// the queue's. What its user may not have any more is left out.
func (c *conn) restore(sub *subscription) {
	var err error
	switch {
	case sub.group != "":
		err = c.joinGroup(sub)
	case !sub.queued:
		err = c.hear(sub)
	}
	if err != nil {
		c.log.Info("a subscription of the session was not restored", "filter", sub.filter, "err", err)
		return
	}
	if sysFilter(sub.filter) {
		c.front.watch(c)
	}
	c.front.metrics.subscriptions.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs.put(sub)
}

// consumeStored starts the deliveries of what waits in the session.
func (c *conn) consumeStored() error {
	src := &source{stored: true}
	consumer, err := c.stored.Consume(uint32(c.terms.receiveMaximum), src)
	if err != nil {
		return err
	}
	src.consumer = consumer
	consumer.Start()
	return nil
}

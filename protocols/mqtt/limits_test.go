package mqtt

import (
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// The limits of README.md's table: what is just within them is taken, and what
// is just beyond gets its answer.

func TestAPacketBeforeCONNECTHasALimit(t *testing.T) {
	r := newRig(t, nil)
	h := hello{v: v5, id: "c", clean: true, will: "w"}
	head := len(h.packet()) + 2 // whose length takes two more bytes then
	h.willBody = strings.Repeat("x", strangerPacket-head)
	if p := h.packet(); len(p) != strangerPacket {
		t.Fatalf("the packet has %d bytes", len(p))
	}
	r.client(h)
	c := r.dial()
	c.send(appendVarint([]byte{byte(typeConnect) << 4}, strangerPacket)) // announced is enough
	c.expectClosed()
}

func TestAPacketHasTheListenersLimit(t *testing.T) {
	r := newRig(t, protocols.Values{optFrame: "1000"})
	c := r.client(hello{v: v5, clean: true})
	room := 1000 - len(publishing{topic: "t"}.packet(v5)) - 1
	c.publish(publishing{topic: "t", body: strings.Repeat("x", room)})
	c.sync()
	c.send(publishing{topic: "t", body: strings.Repeat("x", room+1)}.packet(v5))
	c.expectDisconnect(packetTooLarge)
}

func TestTopicsAndFiltersHaveLevelsAndALength(t *testing.T) {
	r := newRig(t, nil)
	deep := strings.Repeat("/", maxLevels-1)
	long := strings.Repeat("x", maxFilter)
	c := r.client(hello{v: v5, clean: true})
	if codes := c.subscribe(0, deep, deep+"/", long, long+"x"); string(codes) != "\x00\x8f\x00\x8f" {
		t.Errorf("SUBACK says %x", codes)
	}
	for _, topic := range []string{deep, long} {
		c.publish(publishing{topic: topic, body: "x"})
		c.wantBodies("x")
		bad := r.client(hello{v: v5, clean: true})
		bad.send(publishing{topic: topic + "/"}.packet(v5))
		bad.expectDisconnect(topicNameInvalid)
	}
}

func TestAClientIdentifierHasTheListenersLimit(t *testing.T) {
	r := newRig(t, protocols.Values{optClientID: "30"})
	r.client(hello{v: v5, id: strings.Repeat("x", 30), clean: true})
	c, ack := r.connect(hello{v: v5, id: strings.Repeat("x", 31), clean: true})
	if reason(ack[1]) != badClientID {
		t.Errorf("CONNACK says %#x", ack[1])
	}
	c.expectClosed()
}

func TestTopicAliasesHaveTheListenersLimit(t *testing.T) {
	r := newRig(t, protocols.Values{optAliases: "2"})
	c := r.client(hello{v: v5, clean: true})
	for _, number := range []uint16{1, 2} {
		c.send(publishing{topic: "t", props: appendUint16Property(nil, propTopicAlias, number)}.packet(v5))
	}
	c.sync()
	c.send(publishing{topic: "t", props: appendUint16Property(nil, propTopicAlias, 3)}.packet(v5))
	c.expectDisconnect(topicAliasInvalid)
}

func TestDeliveriesInFlightHaveTheListenersLimit(t *testing.T) {
	r := newRig(t, protocols.Values{optMaxInflight: "2"})
	s := r.client(hello{v: v311, id: "s", clean: true})
	s.subscribe(1, "t")
	p := r.client(hello{v: v311, id: "p", clean: true})
	for range 5 {
		p.publish(publishing{topic: "t", qos: 1})
	}
	if got := s.sync(); len(got) != 2 {
		t.Fatalf("%d packets came", len(got))
	}
	s.ack(typePuback, 1)
	if got := s.sync(); len(got) != 1 {
		t.Fatalf("%d packets came for one acknowledgement", len(got))
	}
}

func TestUserPropertiesHaveALimit(t *testing.T) {
	r := newRig(t, nil)
	var props []byte
	for range maxUserProperties {
		props = appendUserProperty(props, "n", "v")
	}
	c := r.client(hello{v: v5, clean: true})
	c.publish(publishing{topic: "t", qos: 1, props: props})
	c.send(publishing{topic: "t", props: appendUserProperty(props, "n", "v")}.packet(v5))
	c.expectDisconnect(quotaExceeded)
}

func TestFiltersOfAPacketHaveALimit(t *testing.T) {
	r := newRig(t, nil)
	subscribe, unsubscribe := []byte{0, 1, 0}, []byte{0, 1, 0}
	for range maxFilters {
		subscribe = append(appendText(subscribe, "t"), 0)
		unsubscribe = appendText(unsubscribe, "t")
	}
	c := r.client(hello{v: v5, clean: true})
	c.send(wrap(typeUnsubscribe, 2, unsubscribe))
	if ack := c.expect(typeUnsuback); len(ack) != 3+maxFilters {
		t.Errorf("UNSUBACK has %d bytes", len(ack))
	}
	c.send(wrap(typeUnsubscribe, 2, appendText(unsubscribe, "t")))
	c.expectDisconnect(quotaExceeded)
	c = r.client(hello{v: v5, clean: true})
	c.send(wrap(typeSubscribe, 2, append(appendText(subscribe, "t"), 0)))
	c.expectDisconnect(quotaExceeded)
}

func TestRetainedMessagesHaveLimits(t *testing.T) {
	size := len(message.New(&message.Envelope{Destination: message.Topic("a")}, message.EncodingMQTT).Raw())
	for name, limits := range map[string]broker.RetainedLimits{
		"messages": {Messages: 1}, "bytes": {Bytes: 2*size + 1500},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigWith(t, nil, broker.Options{Retained: limits})
			c := r.client(hello{v: v5, clean: true})
			body := strings.Repeat("x", 1000)
			c.publish(publishing{topic: "a", body: body, qos: 1, retain: true})
			c.publish(publishing{topic: "a", body: body, qos: 1, retain: true}) // in its place
			c.send(publishing{topic: "b", body: body, qos: 1, id: 7, retain: true}.packet(v5))
			c.expectAck(typePuback, 7, quotaExceeded)
			c.publish(publishing{topic: "a", qos: 1, retain: true}) // forgotten
			c.publish(publishing{topic: "b", body: body, qos: 1, retain: true})
		})
	}
}

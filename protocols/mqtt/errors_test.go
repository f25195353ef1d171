package mqtt

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/protocols"
)

func TestConnectIsRefusedInTheClientsOwnWay(t *testing.T) {
	r := newRig(t, nil)
	for _, test := range []struct {
		name string
		h    hello
		code byte // of CONNACK
	}{
		{"3.1 without client id", hello{v: v31, clean: true}, 2},
		{"3.1.1 without client id and not clean", hello{v: v311}, 2},
		{"3.1.1 with a long client id", hello{v: v311, id: strings.Repeat("x", 2000), clean: true}, 2},
		{"5 with a long client id", hello{v: v5, id: strings.Repeat("x", 2000), clean: true}, byte(badClientID)},
		{"an unknown level", hello{v: 6, id: "x"}, 1},
		{"5 with an unknown method", hello{v: v5, id: "x", props: appendTextProperty(nil, propAuthMethod, "X")}, byte(badAuthenticationMethod)},
		{"5 with a will to a wildcard", hello{v: v5, id: "x", will: "a/#"}, byte(topicNameInvalid)},
	} {
		c, ack := r.connect(test.h)
		if ack[1] != test.code || ack[0] != 0 {
			t.Errorf("%s: CONNACK says %x", test.name, ack[:2])
		}
		c.expectClosed()
	}
}

func TestFirstPacketIsConnect(t *testing.T) {
	r := newRig(t, nil)
	for _, p := range [][]byte{
		{byte(typePingreq) << 4, 0},
		publishing{topic: "t"}.packet(v311),
		{0x10, 0xff, 0xff, 0xff, 0x7f}, // above the limit for strangers
		[]byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		c := r.dial()
		c.send(p)
		c.expectClosed()
	}
}

func TestErrorsEndTheConnectionWithTheirReason(t *testing.T) {
	r := newRig(t, nil)
	for name, test := range map[string]struct {
		p    []byte
		want reason
	}{
		"a second CONNECT":         {hello{v: v5, id: "x"}.packet(), protocolError},
		"a server's packet":        {[]byte{byte(typeSuback) << 4, 0}, protocolError},
		"a malformed packet":       {[]byte{byte(typePublish)<<4 | 6, 0}, malformedPacket},
		"PUBLISH to a wildcard":    {publishing{topic: "a/#"}.packet(v5), topicNameInvalid},
		"PUBLISH to nothing":       {publishing{}.packet(v5), topicNameInvalid},
		"PUBLISH to a share":       {publishing{topic: "$share/g/t"}.packet(v5), topicNameInvalid},
		"PUBLISH of many levels":   {publishing{topic: strings.Repeat("a/", 130)}.packet(v5), topicNameInvalid},
		"AUTH without a method":    {[]byte{byte(typeAuth) << 4, 0}, protocolError},
		"no local of a share":      {wrap(typeSubscribe, 2, append(appendText([]byte{0, 1, 0}, "$share/g/t"), 4)), protocolError},
		"PINGREQ with a body":      {[]byte{byte(typePingreq) << 4, 1, 0}, malformedPacket},
		"DISCONNECT of a server":   {[]byte{byte(typeDisconnect) << 4, 1, 0x8b}, protocolError},
		"a packet above the limit": {[]byte{byte(typePublish) << 4, 0xff, 0xff, 0xff, 0x7f}, packetTooLarge},
	} {
		c := r.client(hello{v: v5, clean: true})
		c.send(test.p)
		p, err := c.read()
		if err != nil || p.kind != typeDisconnect || reason(p.body[0]) != test.want {
			t.Errorf("%s: got %v %x, %v; want reason %#x", name, p.kind, p.body, err, uint8(test.want))
			continue
		}
		c.expectClosed()
		old := r.client(hello{v: v311, id: "old", clean: true})
		if name != "AUTH without a method" && name != "no local of a share" && name != "DISCONNECT of a server" {
			old.send(test.p)
			old.expectClosed()
		}
		old.drop()
	}
}

func TestFiltersAreRefusedOneByOne(t *testing.T) {
	r := newRig(t, protocols.Values{optSubscriptions: "2"})
	for v, want := range map[version]string{
		v5: "\x01\x8f\x01\x97", v311: "\x01\x80\x01\x80", v31: "\x01\x01\x01\x01",
	} {
		c := r.client(hello{v: v, id: "c", clean: true})
		if got := c.subscribe(1, "a", "b#", "c", "d"); string(got) != want {
			t.Errorf("%v: got %x, want %x", v, got, want)
		}
		c.drop()
	}
}

func TestSilentClientIsDisconnected(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{id: "s", clean: true})
	s.subscribe(0, "will")
	c := r.client(hello{v: v5, id: "c", clean: true, keepAlive: 1, will: "will", willBody: "silent"})
	began := time.Now()
	c.expectDisconnect(keepAliveTimeout)
	if waited := time.Since(began); waited < 1400*time.Millisecond {
		t.Fatalf("disconnected after %v", waited)
	}
	s.wantBodies("silent")
}

func TestWhatTheBrokerRefusesIsNotAcknowledged(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Retained: broker.RetainedLimits{Messages: 1}})
	p := r.client(hello{v: v5, clean: true})
	p.publish(publishing{topic: "a", body: "1", qos: 1, retain: true})
	p.send(publishing{topic: "b", body: "2", qos: 1, id: 4, retain: true}.packet(v5))
	p.expectAck(typePuback, 4, quotaExceeded)
	p.send(publishing{topic: "b", body: "2", qos: 2, id: 5, retain: true}.packet(v5))
	p.expectAck(typePubrec, 5, quotaExceeded)
	p.publish(publishing{topic: "c", qos: 2, id: 5}) // the identifier is free
	old := r.client(hello{id: "old", clean: true})
	old.send(publishing{topic: "b", body: "2", qos: 1, id: 4, retain: true}.packet(v311))
	old.expectClosed()
}

func TestShutdownIsAnnounced(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(hello{v: v5, clean: true})
	ctx, cancel := context.WithTimeout(t.Context(), testWait)
	defer cancel()
	if err := r.broker.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if b := c.expect(typeDisconnect); reason(b[0]) != serverShuttingDown {
		t.Fatalf("DISCONNECT says %#x", b[0])
	}
	c.drop()
	r.open()
}

func TestBacklogOfASessionIsBounded(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Stored: broker.StoredLimits{Messages: 10}})
	s := r.client(hello{id: "s"})
	s.subscribe(1, "t")
	s.drop()
	p := r.client(hello{id: "p", clean: true})
	for i := range 50 {
		p.publish(publishing{topic: "t", body: string(rune('A' + i)), qos: 1})
	}
	eventually(t, "nothing is discarded", func() bool { return r.broker.Stats().Discarded == 40 })
	s = r.client(hello{id: "s"})
	for i := 40; i < 50; i++ {
		s.wantBodies(string(rune('A' + i)))
	}
	s.wantNothing()
}

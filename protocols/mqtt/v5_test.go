package mqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// found returns the values of a property in a section.
func found(props []byte, want property) (values [][]byte) {
	eachProperty(props, func(id property, _, value, _ []byte) {
		if id == want {
			values = append(values, value)
		}
	})
	return values
}

// section returns the properties of a CONNACK.
func section(tb testing.TB, ack []byte) []byte {
	tb.Helper()
	f := fields{b: ack[2:]}
	p := f.take(f.varint("length"), "properties")
	if err := f.end(); err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestConnackSaysWhatHolds(t *testing.T) {
	r := newRig(t, protocols.Values{optMaxKeepAlive: "30s", optSessionExpiry: "1m", optReceiveMaximum: "5", optAliases: "7"})
	props := appendUint32Property(nil, propSessionExpiry, 1000)
	props = appendTrueProperty(props, propRequestResponse)
	_, ack := r.connect(hello{v: v5, clean: true, keepAlive: 60, props: props})
	p := section(t, ack)
	for id, want := range map[property][]byte{
		propSessionExpiry: {0, 0, 0, 60}, propServerKeepAlive: {0, 30}, propReceiveMaximum: {0, 5}, propTopicAliasMaximum: {0, 7},
	} {
		if got := found(p, id); len(got) != 1 || !bytes.Equal(got[0], want) {
			t.Errorf("property %#x is %x, want %x", uint8(id), got, want)
		}
	}
	id := found(p, propAssignedClientID)
	if len(id) != 1 || len(id[0]) == 0 {
		t.Fatalf("assigned client identifier is %q", id)
	}
	if info := found(p, propResponseInfo); len(info) != 1 || string(info[0]) != "reply/"+string(id[0]) {
		t.Errorf("response information is %q", info)
	}
}

func TestPropertiesReachSubscribersAsTheyAre(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{v: v5, clean: true})
	s.subscribe(0, "t")
	p := r.client(hello{v: v5, clean: true})
	props := appendTrueProperty(nil, propPayloadFormat)
	props = appendTextProperty(props, propContentType, "text/plain")
	props = appendTextProperty(props, propResponseTopic, "re/ply")
	props = appendTextProperty(props, propCorrelationData, "\x00\x01")
	props = appendUserProperty(appendUserProperty(appendUserProperty(props, "b", "1"), "a", "2"), "b", "3")
	p.publish(publishing{topic: "t", body: "x", props: props})
	if d := s.receive(); !bytes.Equal(d.props, props) {
		t.Fatalf("got %x, want %x", d.props, props)
	}
	// What is the hop's own is not passed on.
	p.publish(publishing{topic: "t", props: append(appendUint16Property(nil, propTopicAlias, 1), props...)})
	if d := s.receive(); !bytes.Equal(d.props, props) {
		t.Fatalf("got %x, want %x", d.props, props)
	}
}

func TestMessageExpiryCountsDown(t *testing.T) {
	var ahead atomic.Int64
	r := newRigWith(t, nil, broker.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	s := r.client(hello{v: v5, id: "s", props: appendUint32Property(nil, propSessionExpiry, 1000)})
	s.subscribe(1, "t")
	s.drop()
	p := r.client(hello{v: v5, clean: true})
	p.publish(publishing{topic: "t", body: "short", qos: 1, props: appendUint32Property(nil, propMessageExpiry, 5)})
	p.publish(publishing{topic: "t", body: "long", qos: 1, props: appendUint32Property(nil, propMessageExpiry, 60)})
	ahead.Store(int64(10 * time.Second))
	s = r.client(hello{v: v5, id: "s", props: appendUint32Property(nil, propSessionExpiry, 1000)})
	d := s.receive()
	left := found(d.props, propMessageExpiry)
	if d.body != "long" || len(left) != 1 {
		t.Fatalf("got %+v", d)
	}
	if n := binary.BigEndian.Uint32(left[0]); n < 55 || n > 60 {
		t.Fatalf("%d seconds are left", n) // the encoder looks at the wall clock
	}
	s.wantNothing()
}

func TestTopicAliasesBothWays(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{v: v5, clean: true, props: appendUint16Property(nil, propTopicAliasMaximum, 1)})
	s.subscribe(0, "#")
	p := r.client(hello{v: v5, clean: true})
	p.send(publishing{topic: "a/b", body: "1", props: appendUint16Property(nil, propTopicAlias, 3)}.packet(v5))
	p.send(publishing{body: "2", props: appendUint16Property(nil, propTopicAlias, 3)}.packet(v5))
	p.send(publishing{topic: "c", body: "3"}.packet(v5))
	want := []delivery{{topic: "a/b", body: "1", alias: 1}, {topic: "", body: "2", alias: 1}, {topic: "c", body: "3"}}
	for _, w := range want {
		if d := s.receive(); d.topic != w.topic || d.body != w.body || d.alias != w.alias {
			t.Fatalf("got %+v, want %+v", d, w)
		}
	}
	p.send(publishing{body: "?", props: appendUint16Property(nil, propTopicAlias, 4)}.packet(v5))
	p.expectDisconnect(protocolError)
	p = r.client(hello{v: v5, clean: true})
	p.send(publishing{topic: "a", props: appendUint16Property(nil, propTopicAlias, 65)}.packet(v5))
	p.expectDisconnect(topicAliasInvalid)
}

func TestReceiveMaximumHoldsDeliveriesBack(t *testing.T) {
	for _, props := range [][]byte{nil, appendUint32Property(nil, propSessionExpiry, 100)} {
		r := newRig(t, nil)
		s := r.client(hello{v: v5, id: "s", clean: true, props: appendUint16Property(props, propReceiveMaximum, 2)})
		s.subscribe(2, "t")
		p := r.client(hello{v: v5, clean: true})
		for i := range 5 {
			p.publish(publishing{topic: "t", body: fmt.Sprint(i), qos: byte(1 + i%2), id: 1})
		}
		p.publish(publishing{topic: "t", body: "zero"})
		p.sync()
		first, second := s.get(), s.get()
		got := s.sync()
		for _, p := range got {
			if d := s.parse(p); d.qos > 0 {
				t.Fatalf("got %+v beyond the maximum", d)
			}
		}
		s.ack(typePuback, first.id)
		third := s.get()
		s.wantNothing()
		s.ack(typePubrec, second.id)
		s.expectAck(typePubrel, second.id, success)
		s.wantNothing() // the identifier is in use until PUBCOMP
		s.ack(typePubcomp, second.id)
		fourth := s.get()
		s.ack(typePuback, third.id)
		fifth := s.get()
		if third.body != "2" || fourth.body != "3" || fifth.body != "4" {
			t.Fatalf("got %q, %q, %q", third.body, fourth.body, fifth.body)
		}
		s.drop()
	}
}

func TestClientAboveOurReceiveMaximumIsDisconnected(t *testing.T) {
	r := newRig(t, protocols.Values{optReceiveMaximum: "2"})
	p := r.client(hello{v: v5, clean: true})
	for id := range uint16(2) {
		p.send(publishing{topic: "t", qos: 2, id: id + 1}.packet(v5))
		p.expectAck(typePubrec, id+1, success)
	}
	p.send(publishing{topic: "t", qos: 2, id: 3}.packet(v5))
	p.expectDisconnect(receiveMaximumExceeded)
}

func TestMessagesLargerThanTheClientTakesAreLeftOut(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{v: v5, clean: true, props: appendUint32Property(nil, propMaximumPacketSize, 100)})
	s.subscribe(1, "t")
	p := r.client(hello{v: v5, clean: true})
	for qos := range byte(2) {
		p.publish(publishing{topic: "t", body: strings.Repeat("x", 200), qos: qos})
		p.publish(publishing{topic: "t", body: "small", qos: qos})
		s.wantBodies("small")
	}
	s.wantNothing()
	if n := r.front.Snapshot().Dropped; n != 2 {
		t.Fatalf("%d were counted", n)
	}
}

func TestRetainedMessages(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
	p := r.client(hello{v: v5, id: "p", clean: true})
	p.publish(publishing{topic: "a/1", body: "one", qos: 1, retain: true})
	p.publish(publishing{topic: "a/2", body: "two", retain: true})
	p.publish(publishing{topic: "a/3", body: "three", qos: 2, retain: true})
	p.publish(publishing{topic: "a/3", qos: 1, retain: true}) // forgotten
	p.sync()
	p.drop()
	r.restart()
	const rap, ifNew, never = 8, 1 << 4, 2 << 4
	for _, props := range [][]byte{nil, appendUint32Property(nil, propSessionExpiry, 100)} {
		s := r.client(hello{v: v5, id: "s", clean: true, props: props})
		s.subscribe(1, "a/+")
		got := map[string]delivery{}
		for range 2 {
			d := s.receive()
			got[d.body] = d
		}
		if !got["one"].retain || got["one"].qos != 1 || !got["two"].retain || got["two"].qos != 0 {
			t.Fatalf("got %+v", got)
		}
		s.subscribe(1|ifNew, "a/+")
		s.wantNothing()
		s.subscribe(1|never, "a/#")
		s.wantNothing()
		s.unsubscribe("a/#")
		s.subscribe(1, "a/1")
		s.wantBodies("one")
		s.unsubscribe("a/1")
		p := r.client(hello{v: v5, id: "p", clean: true})
		p.publish(publishing{topic: "a/1", body: "one", qos: 1, retain: true})
		if d := s.receive(); d.retain {
			t.Fatal("a fresh message is said to be retained")
		}
		s.subscribe(1|never|rap, "a/+")
		p.publish(publishing{topic: "a/1", body: "one", qos: 1, retain: true})
		if d := s.receive(); !d.retain {
			t.Fatal("retain was not kept as published")
		}
		s.wantNothing()
		s.drop()
		p.drop()
	}
}

func TestNoLocalLeavesOutOnesOwnMessages(t *testing.T) {
	for _, props := range [][]byte{nil, appendUint32Property(nil, propSessionExpiry, 100)} {
		r := newRig(t, nil)
		s := r.client(hello{v: v5, id: "s", clean: true, props: props})
		s.subscribe(1|4, "t")
		s.subscribe(1, "u")
		s.publish(publishing{topic: "t", body: "mine", qos: 1})
		s.wantNothing()
		r.client(hello{v: v5, clean: true}).publish(publishing{topic: "t", body: "other", qos: 1})
		s.wantBodies("other")
		s.send(publishing{topic: "u", body: "mine too", qos: 1, id: 5}.packet(v5))
		s.expectAck(typePuback, 5, success)
		s.wantBodies("mine too")
	}
}

func TestSharedSubscriptionsDeliverToOneOfTheGroup(t *testing.T) {
	for _, v := range []version{v311, v5} {
		for _, clean := range []bool{true, false} {
			r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
			var props []byte
			if v == v5 && !clean {
				props = appendUint32Property(nil, propSessionExpiry, 100)
			}
			a := r.client(hello{v: v, id: "a", clean: clean, props: props})
			b := r.client(hello{v: v, id: "b", clean: clean, props: props})
			all := r.client(hello{v: v, id: "all", clean: true})
			a.subscribe(1, "$share/g/t/+")
			b.subscribe(1, "$share/g/t/+")
			all.subscribe(1, "t/#")
			p := r.client(hello{v: v, id: "p", clean: true})
			seen := map[string]int{}
			for i := range 10 {
				p.publish(publishing{topic: "t/x", body: fmt.Sprint(i), qos: 1})
				all.wantBodies(fmt.Sprint(i))
			}
			for _, c := range []*client{a, b} {
				for range 5 {
					seen[c.receive().body]++
				}
				c.wantNothing()
			}
			if len(seen) != 10 {
				t.Fatalf("got %v", seen)
			}
			if clean {
				continue
			}
			a.disconnect()
			b.disconnect()
			p.publish(publishing{topic: "t/x", body: "waits", qos: 1})
			r.restart()
			b = r.client(hello{v: v, id: "b", props: props})
			b.wantBodies("waits")
			if codes := b.unsubscribe("$share/g/t/+"); v == v5 && codes[1] != 0 {
				t.Fatalf("UNSUBACK says %x", codes)
			}
		}
	}
}

func TestWills(t *testing.T) {
	for _, v := range []version{v311, v5} {
		r := newRig(t, nil)
		s := r.client(hello{v: v, id: "s", clean: true})
		s.subscribe(2, "will/#")
		h := hello{v: v, id: "w", clean: true, will: "will/a", willBody: "gone", willQoS: 1, retain: true}
		r.client(h).disconnect()
		s.wantNothing()
		r.client(h).drop()
		if d := s.receive(); d.body != "gone" || d.qos != 1 || d.retain {
			t.Fatalf("got %+v", d)
		}
		w := r.client(h)
		w.send([]byte{0xff}) // an error ends the connection: that is no intent
		s.wantBodies("gone")
		s.wantNothing()
		late := r.client(hello{v: v, id: "late", clean: true})
		late.subscribe(0, "will/a")
		if d := late.receive(); !d.retain || d.body != "gone" {
			t.Fatalf("got %+v", d)
		}
		if v == v5 {
			w = r.client(h)
			w.send([]byte{byte(typeDisconnect) << 4, 1, byte(disconnectWithWill)})
			s.wantBodies("gone")
		}
		r.client(h)
		r.client(h) // takes the session over
		s.wantBodies("gone")
	}
}

func TestDelayedWillWaitsForTheClientToComeBack(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
		h := hello{
			v: v5, id: "w", props: appendUint32Property(nil, propSessionExpiry, 100),
			will: "will", willBody: "late", willQoS: 1, willProps: appendUint32Property(nil, propWillDelay, 1),
		}
		sub := hello{v: v5, id: "s", props: appendUint32Property(nil, propSessionExpiry, 100)}
		s := r.client(sub)
		s.subscribe(1, "will")
		r.client(h).drop()
		w := r.client(h) // in time
		s.wantNothing()
		began := time.Now()
		if restart { // the connection ends with the broker
			r.restart()
			s = r.client(sub)
		} else {
			w.drop()
		}
		s.wantBodies("late")
		if waited := time.Since(began); waited < time.Second {
			t.Fatalf("came after %v", waited)
		}
		s.disconnect()
		r.restart()
		s = r.client(sub)
		s.wantNothing() // and never again
	}
}

func TestWillIsPublishedOnceAfterTheBrokerWasRestarted(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
	sub := hello{v: v311, id: "s"}
	s := r.client(sub)
	s.subscribe(1, "will")
	r.client(hello{id: "w", clean: true, will: "will", willBody: "gone", willQoS: 1})
	r.restart()
	s = r.client(sub)
	s.wantBodies("gone")
	s.disconnect()
	r.restart()
	s = r.client(sub)
	s.wantNothing()
}

func TestSessionEndsWhenItsTimeIsOver(t *testing.T) {
	r := newRig(t, nil)
	h := hello{v: v5, id: "s", props: appendUint32Property(nil, propSessionExpiry, 1)}
	s := r.client(h)
	s.subscribe(1, "t")
	s.drop()
	s, ack := r.connect(h)
	if ack[0] != 1 {
		t.Fatal("the session is gone too early")
	}
	s.drop()
	eventually(t, "the session does not end", func() bool { return r.broker.StoredSessions() == 0 })
	if _, ack = r.connect(h); ack[0] != 0 {
		t.Fatal("the session is still there")
	}
}

func TestDisconnectChangesTheSessionsExpiry(t *testing.T) {
	r := newRig(t, nil)
	h := hello{v: v5, id: "s", props: appendUint32Property(nil, propSessionExpiry, 100)}
	s := r.client(h)
	s.send(wrap(typeDisconnect, 0, append([]byte{0, 5}, appendUint32Property(nil, propSessionExpiry, 0)...)))
	s.gone()
	if _, ack := r.connect(h); ack[0] != 0 {
		t.Fatal("the session outlived its connection")
	}
	s = r.client(hello{v: v5, id: "t"})
	s.send(wrap(typeDisconnect, 0, append([]byte{0, 5}, appendUint32Property(nil, propSessionExpiry, 9)...)))
	s.expectDisconnect(protocolError)
}

func TestUnsubscribeTellsWhatThereWas(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{v: v5, clean: true})
	s.subscribe(1, "a", "b/+")
	if codes := s.unsubscribe("a", "x", "b/+"); !bytes.Equal(codes[1:], []byte{0, byte(noSubscriptionExisted), 0}) {
		t.Fatalf("got %x", codes)
	}
	r.client(hello{clean: true}).publish(publishing{topic: "a", qos: 1})
	s.wantNothing()
}

func TestDollarTopicsAreHiddenFromWildcards(t *testing.T) {
	for _, props := range [][]byte{nil, appendUint32Property(nil, propSessionExpiry, 100)} {
		r := newRig(t, nil)
		s := r.client(hello{v: v5, id: "s", props: props, clean: true})
		s.subscribe(1, "#", "+/x", "$own/+")
		p := r.client(hello{v: v5, clean: true})
		p.publish(publishing{topic: "$own/x", body: "own", qos: 1})
		p.publish(publishing{topic: "$other/x", body: "other", qos: 1})
		s.wantBodies("own")
		s.wantNothing()
	}
}

func TestMessagesOfOtherProtocols(t *testing.T) {
	r := newRig(t, nil)
	s5 := r.client(hello{v: v5, clean: true})
	s3 := r.client(hello{v: v311, id: "s3", clean: true})
	s5.subscribe(2, "a/b")
	s3.subscribe(2, "a/b")
	e := &message.Envelope{
		ID: r.broker.NewID(), Destination: message.Topic("a.b"), Durable: true, Timestamp: time.Now().UnixMilli(),
		ContentType: "text/x", CorrelationID: "c1", ReplyTo: message.Topic("re.ply"), Type: "T",
	}
	m := message.NewView(e, &message.View{
		Properties: []message.Property{{Name: "n", Value: message.Int32Value(7)}}, Body: message.TextBody("hello"),
	})
	if err := r.broker.Send(false, m); err != nil {
		t.Fatal(err)
	}
	want := appendTrueProperty(nil, propPayloadFormat)
	want = appendTextProperty(want, propContentType, "text/x")
	want = appendTextProperty(want, propResponseTopic, "re/ply")
	want = appendTextProperty(want, propCorrelationData, "c1")
	want = appendUserProperty(appendUserProperty(want, "n", "7"), "JMSType", "T")
	if d := s5.receive(); d.body != "hello" || d.qos != 1 || !bytes.Equal(d.props, want) {
		t.Fatalf("got %+v, want properties %q", d, want)
	}
	if d := s3.receive(); d.body != "hello" || d.qos != 1 || d.topic != "a/b" {
		t.Fatalf("got %+v", d)
	}
}

func TestSysTopicsTellHowTheBrokerIs(t *testing.T) {
	r := newRig(t, nil)
	s := r.client(hello{v: v311, id: "s", clean: true})
	s.subscribe(0, "$SYS/broker/version", "$SYS/broker/clients/connected", "$SYS/broker/subscriptions/count")
	got := map[string]string{}
	for range 3 {
		d := s.receive()
		got[d.topic] = d.body
		if !d.retain {
			t.Errorf("%s is not said to be retained", d.topic)
		}
	}
	for topic, want := range map[string]string{
		"version": "Entrepot/test", "clients/connected": "1", "subscriptions/count": "0",
	} {
		if got["$SYS/broker/"+topic] != want {
			t.Errorf("%s is %q, want %q", topic, got["$SYS/broker/"+topic], want)
		}
	}
	s.subscribe(0, "#")
	s.wantNothing()
	p := r.client(hello{v: v5, clean: true})
	p.send(publishing{topic: "$SYS/broker/version", body: "mine", qos: 1, id: 3}.packet(v5))
	p.expectAck(typePuback, 3, notAuthorized)
	s.wantNothing()
	r.front.announce() // as every sysInterval
	for range 3 {
		if d := s.receive(); d.retain {
			t.Errorf("news of %s are said to be retained", d.topic)
		}
	}
}

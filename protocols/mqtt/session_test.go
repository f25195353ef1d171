package mqtt

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
)

func TestMessagesOfEachQoSArriveWithTheLowerOne(t *testing.T) {
	r := newRig(t, nil)
	for _, v := range []version{v31, v311, v5} {
		for sub := range byte(3) {
			for pub := range byte(3) {
				s := r.client(hello{v: v, id: "s", clean: true})
				p := r.client(hello{v: v, id: "p", clean: true})
				if codes := s.subscribe(sub, "a/+"); codes[0] != sub {
					t.Fatalf("granted %x", codes)
				}
				p.publish(publishing{topic: "a/b", body: "hello", qos: pub})
				d := s.receive()
				if d.topic != "a/b" || d.body != "hello" || d.qos != min(sub, pub) || d.dup || d.retain {
					t.Fatalf("%v, %d to %d: got %+v", v, pub, sub, d)
				}
				s.wantNothing()
				s.disconnect()
				p.disconnect()
			}
		}
	}
}

func TestOrderIsKeptInEachQoS(t *testing.T) {
	r := newRig(t, nil)
	for qos := range byte(3) {
		s := r.client(hello{id: "s", clean: true})
		s.subscribe(qos, "t")
		p := r.client(hello{id: "p", clean: true})
		const n = 300
		var publisher sync.WaitGroup
		publisher.Go(func() {
			for i := range n {
				p.publish(publishing{topic: "t", body: fmt.Sprint(i), qos: qos, id: uint16(i + 1)})
			}
		})
		for i := range n {
			if d := s.receive(); d.body != fmt.Sprint(i) {
				t.Errorf("QoS %d: got %s, want %d", qos, d.body, i)
			}
		}
		publisher.Wait()
		s.disconnect()
	}
}

func TestSessionKeepsWhatWaitsThroughARestart(t *testing.T) {
	for _, v := range []version{v311, v5} {
		t.Run(v.String(), func(t *testing.T) {
			r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
			var props []byte
			if v == v5 {
				props = appendUint32Property(nil, propSessionExpiry, 3600)
			}
			h := hello{v: v, id: "s", props: props}
			s, ack := r.connect(h)
			if ack[0] != 0 {
				t.Fatal("a new session is said to be present")
			}
			s.subscribe(2, "a/#")
			s.subscribe(0, "zero")
			s.disconnect()
			r.restart()
			p := r.client(hello{v: v, id: "p", clean: true})
			for qos := range byte(3) {
				p.publish(publishing{topic: "a/b", body: fmt.Sprint(qos), qos: qos, id: uint16(qos)})
			}
			p.publish(publishing{topic: "zero", body: "missed", qos: 1, id: 9})
			p.disconnect()
			r.restart()
			s, ack = r.connect(h)
			if ack[0] != 1 {
				t.Fatal("the session is not said to be present")
			}
			s.wantBodies("1", "2") // QoS 0 is not kept for who isn't there
			s.wantNothing()
			p = r.client(hello{v: v, id: "p", clean: true})
			p.publish(publishing{topic: "zero", body: "now"})
			s.wantBodies("now")
			s.disconnect()
			h.clean = true
			s, ack = r.connect(h)
			if ack[0] != 0 {
				t.Fatal("a clean session is said to be present")
			}
			p.publish(publishing{topic: "a/b", body: "x", qos: 1})
			s.wantNothing()
		})
	}
}

func TestUnacknowledgedMessagesAreSentAgainWithTheirIdentifiers(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
		s := r.client(hello{id: "s"})
		s.subscribe(2, "t")
		p := r.client(hello{id: "p", clean: true})
		for i := range 6 {
			p.publish(publishing{topic: "t", body: fmt.Sprint(i), qos: byte(1 + i%2), id: uint16(i + 1)})
		}
		var first []delivery
		for range 6 {
			first = append(first, s.get())
		}
		s.ack(typePuback, first[2].id)
		s.ack(typePubrec, first[3].id) // and no PUBCOMP
		s.expectAck(typePubrel, first[3].id, success)
		s.sync()
		s.drop()
		p.drop()
		if restart {
			r.restart()
		}
		s = r.client(hello{id: "s"})
		s.expectAck(typePubrel, first[3].id, success)
		for _, i := range []int{0, 1, 4, 5} {
			d := s.get()
			if !d.dup || d.id != first[i].id || d.qos != first[i].qos || d.body != first[i].body {
				t.Fatalf("sent again as %+v, was %+v", d, first[i])
			}
			if d.qos == 1 {
				s.ack(typePuback, d.id)
				continue
			}
			s.ack(typePubrec, d.id)
			s.expectAck(typePubrel, d.id, success)
			s.ack(typePubcomp, d.id)
		}
		s.ack(typePubcomp, first[3].id)
		s.wantNothing()
		s.drop()
		s = r.client(hello{id: "s"})
		s.wantNothing()
	}
}

func TestPublishOfQoS2IsTakenOnceThoughItIsSentAgain(t *testing.T) {
	for _, restart := range []bool{false, true} {
		r := newRigWith(t, nil, broker.Options{Dir: t.TempDir()})
		s := r.client(hello{id: "s"})
		s.subscribe(1, "t")
		s.drop()
		p := r.client(hello{id: "p"})
		again := publishing{topic: "t", body: "once", qos: 2, id: 7}
		p.send(again.packet(v311))
		p.expectAck(typePubrec, 7, success)
		again.dup = true
		p.send(again.packet(v311)) // within the connection
		p.expectAck(typePubrec, 7, success)
		p.drop()
		if restart {
			r.restart()
		}
		p = r.client(hello{id: "p"})
		p.send(again.packet(v311)) // in the next one
		p.expectAck(typePubrec, 7, success)
		p.ack(typePubrel, 7)
		p.expectAck(typePubcomp, 7, success)
		p.ack(typePubrel, 7) // PUBCOMP was lost
		p.expectAck(typePubcomp, 7, success)
		p.publish(publishing{topic: "t", body: "other", qos: 2, id: 7}) // the identifier is free
		p.drop()
		if restart {
			r.restart()
		}
		s = r.client(hello{id: "s"})
		s.wantBodies("once", "other")
		s.wantNothing()
	}
}

func TestOverlappingSubscriptionsDeliverOnceWithTheHighestQoS(t *testing.T) {
	for _, stored := range []bool{false, true} {
		r := newRig(t, nil)
		var props []byte
		if stored {
			props = appendUint32Property(nil, propSessionExpiry, 100)
		}
		s := r.client(hello{v: v5, id: "s", clean: true, props: props})
		id := func(n int) []byte { return appendVarint([]byte{byte(propSubscriptionID)}, n) }
		s.subscribeWith(id(1), 0, "a/#")
		s.subscribeWith(id(2), 2, "a/b")
		s.subscribeWith(id(3), 1, "+/b")
		p := r.client(hello{id: "p", clean: true})
		for qos, want := range []byte{0, 1, 2} {
			p.publish(publishing{topic: "a/b", qos: byte(qos), id: 1})
			d := s.receive()
			if d.qos != want {
				t.Fatalf("QoS %d came as %d", qos, d.qos)
			}
			for n := 1; n <= 3; n++ {
				if !bytes.Contains(d.props, id(n)) {
					t.Fatalf("no subscription identifier %d in %x", n, d.props)
				}
			}
			s.wantNothing()
		}
	}
}

func TestTakeOverEndsTheOlderConnection(t *testing.T) {
	r := newRig(t, nil)
	old := r.client(hello{v: v5, id: "x", props: appendUint32Property(nil, propSessionExpiry, 60)})
	old.subscribe(1, "t")
	_, ack := r.connect(hello{v: v5, id: "x", props: appendUint32Property(nil, propSessionExpiry, 60)})
	if ack[0] != 1 {
		t.Fatal("the session is not present")
	}
	old.expectDisconnect(sessionTakenOver)
}

package openwire

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

func TestEveryEncodingCarriesAMessage(t *testing.T) {
	for _, f := range []wire.Format{
		{Version: 1}, {Version: 5}, {Version: 10}, {Version: 11, Tight: true}, {Version: 12, Tight: true, CacheSize: 200}, {Version: 12, CacheSize: 200},
	} {
		t.Run(fmt.Sprintf("v%d tight %v cache %v", f.Version, f.Tight, f.CacheSize > 0), func(t *testing.T) {
			r := newRig(t, protocols.Values{optTight: "true", optCache: "true", optCacheSize: "200"})
			c := r.connectAs("c", f)
			q := queueNamed("a")
			c.consume(1, q, 10)
			for n := range int64(20) {
				c.ask(c.text(n+1, q, "hello"))
				d := c.get("hello")
				id := d.Message.Fields().MessageID
				if id.ProducerSequenceID != n+1 || id.ProducerID.ConnectionID.String() != "c" {
					t.Fatalf("message id %v", id)
				}
				c.write(c.ack(ackStandard, 1, d, d, 1))
			}
			c.none()
		})
	}
}

func TestBeforeConnectionInfoLittleIsAccepted(t *testing.T) {
	r := newRig(t, nil)
	c := r.negotiate(wire.Format{Version: 12})
	c.write(&wire.KeepAliveInfo{BaseCommand: wire.BaseCommand{CommandID: 5, ResponseRequired: true}})
	if k, ok := c.read().(*wire.KeepAliveInfo); !ok || k.ResponseRequired || k.CommandID != 5 {
		t.Fatalf("KeepAliveInfo was answered by %v", k)
	}
	c.write(c.text(1, queueNamed("a"), "early"))
	if e, ok := c.read().(*wire.ConnectionError); !ok || !strings.Contains(e.Exception.Text.String(), "before ConnectionInfo") {
		t.Fatalf("got %v", e)
	}
	if s := c.read(); s != nil {
		t.Fatalf("the connection goes on with %v", s)
	}
}

func TestConnectionsThatAreRefusedSayWhyAndEnd(t *testing.T) {
	r := newRig(t, nil)
	r.connect("first")
	c := r.negotiate(wire.Format{Version: 12})
	c.refused(&wire.ConnectionInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text("second")}, ClientID: wire.Text("client of first")}, classClientID)
	if s := c.next(); s != nil {
		t.Fatalf("the connection goes on with %s", show(s))
	}
	c = r.negotiate(wire.Format{Version: 12})
	c.refused(&wire.ConnectionInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text("third")}}, classClientID)
}

func TestAReconnectingClientTakesItsConnectionOver(t *testing.T) {
	r := newRig(t, nil)
	old := r.connect("same")
	q := queueNamed("a")
	old.consume(1, q, 10)
	old.ask(old.text(1, q, "kept"))
	old.get("kept")
	c := r.connect("same")
	c.consume(1, q, 10)
	if d := c.get("kept"); d.RedeliveryCounter != 1 {
		t.Errorf("redelivery counter %d", d.RedeliveryCounter)
	}
	for s := old.next(); s != nil; s = old.next() {
		if _, ok := s.(*wire.ConnectionError); !ok {
			t.Fatalf("the old connection got %s", show(s))
		}
	}
}

func TestIDsOfOtherConnectionsAreRefused(t *testing.T) {
	r := newRig(t, nil)
	r.connect("victim")
	c := r.connect("thief")
	c.refused(&wire.SessionInfo{SessionID: &wire.SessionID{ConnectionID: wire.Text("victim"), Value: 2}}, classState)
	c.refused(&wire.ProducerInfo{ProducerID: &wire.ProducerID{ConnectionID: wire.Text("victim"), SessionID: 1, Value: 2}}, classState)
	c.refused(&wire.ConsumerInfo{
		ConsumerID: &wire.ConsumerID{ConnectionID: wire.Text("victim"), SessionID: 1, Value: 2}, Destination: queueNamed("a"),
	}, classState)
	c.refused(&wire.ConsumerInfo{ConsumerID: c.consumer(1), Destination: &wire.ActiveMQTempQueue{
		ActiveMQTempDestination: wire.ActiveMQTempDestination{ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text("victim:1")}},
	}}, classDestination)
	c.refused(&wire.SessionInfo{}, classState)
	c.refused(&wire.ConsumerInfo{ConsumerID: &wire.ConsumerID{ConnectionID: wire.Text("thief"), SessionID: 7}, Destination: queueNamed("a")}, classState)
}

func TestRepeatedAndUselessCommandsHaveNoEffect(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.consume(1, q, 10)
	c.consume(1, q, 10)
	c.ask(&wire.SessionInfo{SessionID: &wire.SessionID{ConnectionID: wire.Text("c"), Value: 1}})
	c.ask(&wire.ProducerInfo{ProducerID: c.producer()})
	c.ask(&wire.ControlCommand{Command: wire.Text("shutdown")})
	c.write(&wire.RemoveInfo{ObjectID: c.consumer(99)})
	c.refused(&wire.RemoveInfo{ObjectID: c.consumer(99)}, classLangState)
	c.ask(&wire.MessageAck{ConsumerID: c.consumer(99), AckType: ackStandard})
	c.ask(c.text(1, q, "once"))
	c.get("once")
	c.none()
}

func TestAcknowledgementsEndWhatTheyName(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.consume(1, q, 100)
	var ds []*wire.MessageDispatch
	for n := range int64(6) {
		text := strconv.FormatInt(n, 10)
		c.ask(c.text(n+1, q, text))
		ds = append(ds, c.get(text))
	}
	c.ask(c.ack(ackIndividual, 1, nil, ds[1], 1))
	c.ask(c.ack(ackStandard, 1, ds[2], ds[3], 2)) // neither the first nor the last
	c.ask(c.ack(ackRedelivered, 1, ds[0], ds[5], 2))
	c.ask(c.ack(ackStandard, 1, ds[1], ds[1], 1)) // again
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: lastUnknown})
	c.consume(2, q, 100)
	for _, want := range []string{"0", "4", "5"} {
		if d := c.get(want); d.RedeliveryCounter != 1 {
			t.Errorf("%s: redelivery counter %d", want, d.RedeliveryCounter)
		}
	}
	c.none()
}

func TestWhatTheApplicationDidNotGetCountsAsNotDelivered(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.consume(1, q, 100)
	c.ask(c.text(1, q, "seen"))
	seen := c.get("seen")
	c.ask(c.text(2, q, "unseen"))
	c.get("unseen")
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: seen.Message.Fields().MessageID.BrokerSequenceID})
	c.consume(2, q, 100)
	if n := c.get("seen").RedeliveryCounter; n != 1 {
		t.Errorf("seen: redelivery counter %d", n)
	}
	if n := c.get("unseen").RedeliveryCounter; n != 0 {
		t.Errorf("unseen: redelivery counter %d", n)
	}
}

func TestPrefetchAndDeliveredAcknowledgementsAreTheCredit(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	for n := range int64(6) {
		c.ask(c.text(n+1, q, strconv.FormatInt(n, 10)))
	}
	c.consume(1, q, 2)
	first, second := c.get("0"), c.get("1")
	c.none()
	c.ask(c.ack(ackDelivered, 1, first, second, 2))
	third, fourth := c.get("2"), c.get("3")
	c.none()
	c.ask(c.ack(ackStandard, 1, first, second, 2)) // credit was given before
	c.none()
	c.ask(c.ack(ackStandard, 1, third, fourth, 2))
	c.get("4")
	c.get("5")
}

func TestARollbackLeavesDeliveriesWithTheClient(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.consume(1, q, 10)
	c.ask(c.text(1, q, "x"))
	d := c.get("x")
	in := func(tx int64) *wire.MessageAck {
		a := c.ack(ackStandard, 1, d, d, 1)
		a.TransactionID = c.tx(tx)
		return a
	}
	begin := func(tx int64) { c.ask(&wire.TransactionInfo{TransactionID: c.tx(tx), Type: txBegin}) }
	begin(1)
	begin(1) // a client that replays
	c.ask(in(1))
	sent := c.text(2, q, "never")
	sent.TransactionID = c.tx(1)
	c.ask(sent)
	c.ask(&wire.TransactionInfo{TransactionID: c.tx(1), Type: txRollback})
	c.none()
	c.refused(in(9), classJMS)
	begin(2)
	c.ask(in(2))
	c.ask(&wire.TransactionInfo{TransactionID: c.tx(2), Type: txCommitOnePhase})
	c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: lastUnknown})
	c.consume(2, q, 10)
	c.none()
}

func TestATransactionInWhichASendFailedIsRolledBack(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	c.ask(&wire.TransactionInfo{TransactionID: c.tx(1), Type: txBegin})
	good, bad := c.text(1, queueNamed("a"), "x"), c.text(2, queueNamed("a.*"), "x")
	good.TransactionID, bad.TransactionID = c.tx(1), c.tx(1)
	c.write(good)
	c.write(bad)
	if e, ok := c.next().(*wire.ConnectionError); !ok || e.Exception.Class.String() != classDestination {
		t.Fatalf("got %v", e)
	}
	c.refused(&wire.TransactionInfo{TransactionID: c.tx(1), Type: txCommitOnePhase}, classRolledBack)
	c.consume(1, queueNamed("a"), 10)
	c.none()
}

func TestAPullGetsAMessageOrNothing(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.consume(1, q, 0)
	nothing := func() {
		t.Helper()
		if d, ok := c.next().(*wire.MessageDispatch); !ok || d.Message != nil || d.Destination != nil {
			t.Fatalf("got %v", d)
		}
	}
	c.ask(&wire.MessagePull{ConsumerID: c.consumer(1), Destination: q, Timeout: -1})
	nothing()
	c.ask(&wire.MessagePull{ConsumerID: c.consumer(1), Destination: q, Timeout: 20})
	nothing()
	c.ask(&wire.MessagePull{ConsumerID: c.consumer(1), Destination: q})
	c.ask(c.text(1, q, "1"))
	c.ask(c.text(2, q, "2"))
	d := c.get("1")
	c.none()
	c.ask(c.ack(ackStandard, 1, d, d, 1))
	c.none()
	c.ask(&wire.MessagePull{ConsumerID: c.consumer(1), Destination: q, Timeout: -1})
	c.get("2")
}

func TestABrowserEndsWithNothing(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	c.ask(c.text(1, q, "1"))
	c.ask(&wire.ConsumerInfo{ConsumerID: c.consumer(1), Destination: q, PrefetchSize: 10, Browser: true})
	c.get("1")
	if d, ok := c.next().(*wire.MessageDispatch); !ok || d.Message != nil {
		t.Fatalf("got %v", d)
	}
	c.consume(2, q, 10)
	if d := c.get("1"); d.RedeliveryCounter != 0 {
		t.Errorf("redelivery counter %d", d.RedeliveryCounter)
	}
}

func TestAProducerWithAWindowIsToldExactlyWhatItCounted(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	id := &wire.ProducerID{ConnectionID: wire.Text("c"), SessionID: 1, Value: 2}
	c.ask(&wire.ProducerInfo{ProducerID: id, WindowSize: 5000})
	m := c.text(1, queueNamed("a"), "hello!")
	m.ProducerID = id
	m.MarshalledProperties = wire.AppendMap(nil, []message.Property{{Name: "k", Value: message.BoolValue(true)}})
	c.write(m)
	want := int32(1024 + len(m.Content) + len(m.MarshalledProperties))
	if a, ok := c.next().(*wire.ProducerAck); !ok || a.Size != want || *a.ProducerID != *id {
		t.Errorf("got %v, want size %d", a, want)
	}
}

func TestTemporaryDestinationsAreAnnouncedToAll(t *testing.T) {
	r := newRig(t, nil)
	owner, other := r.connect("owner"), r.connect("other")
	temp := &wire.ActiveMQTempQueue{ActiveMQTempDestination: wire.ActiveMQTempDestination{
		ActiveMQDestination: wire.ActiveMQDestination{PhysicalName: wire.Text("owner:1")},
	}}
	watch := func(c *peer) {
		c.ask(&wire.ConsumerInfo{
			ConsumerID:  &wire.ConsumerID{ConnectionID: wire.Text(c.id), SessionID: implicitSession, Value: 1},
			Destination: topicNamed("ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic"), PrefetchSize: 1000,
		})
	}
	told := func(c *peer, operation int8) {
		t.Helper()
		d, ok := c.next().(*wire.MessageDispatch)
		if !ok || d.Message == nil || d.Message.Fields().Type.String() != "Advisory" {
			t.Fatalf("got %v", d)
		}
		info, ok := d.Message.Fields().DataStructure.(*wire.DestinationInfo)
		if !ok || info.OperationType != operation || info.Destination.Name() != "owner:1" || info.ConnectionID.Value.String() != "owner" {
			t.Fatalf("got %v", info)
		}
	}
	watch(owner)
	add := &wire.DestinationInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text("owner")}, Destination: temp}
	owner.ask(add)
	told(owner, destinationAdd)
	owner.ask(add) // a client that replays
	watch(other)
	told(other, destinationAdd)
	other.refused(&wire.DestinationInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text("other")}, Destination: temp}, classDestination)
	owner.ask(&wire.DestinationInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text("owner")}, Destination: temp, OperationType: destinationRemove})
	told(other, destinationRemove)
	told(owner, destinationRemove)
}

func TestNobodyPublishesAdvisories(t *testing.T) {
	c := newRig(t, nil).connect("c")
	c.refused(c.text(1, topicNamed("ActiveMQ.Advisory.Connection"), "false"), classSecurity)
}

func TestFramesAreLimitedByWhoSendsThem(t *testing.T) {
	r := newRig(t, nil)
	c := r.negotiate(wire.Format{Version: 12})
	if _, err := c.net.Write([]byte{0, 1, 0, 1, byte(wire.TypeConnectionInfo)}); err != nil { // 64 KiB and a byte
		t.Fatal(err)
	}
	if e, ok := c.read().(*wire.ConnectionError); !ok || !strings.Contains(e.Exception.Text.String(), "65537 bytes") {
		t.Fatalf("got %v", e)
	}
	conn := r.dial()
	if _, err := conn.Write([]byte{0, 0, 0x10, 1, 1}); err != nil { // 4 KiB and a byte
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil { // until the broker closes it
		t.Fatal(err)
	}
}

func TestBodiesBecomeTheHubsAndBack(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	q := queueNamed("a")
	send := func(kind wire.Type, content []byte, compressed bool) {
		m := wire.NewMessage(kind)
		f := m.Fields()
		*f = c.text(1, q, "").BaseMessage
		f.Content, f.Compressed = content, compressed
		f.MarshalledProperties = wire.AppendMap(nil, []message.Property{{Name: "n", Value: message.Int32Value(7)}})
		c.ask(m)
	}
	entries := wire.AppendMap(nil, []message.Property{{Name: "k", Value: message.StringValue("v")}})
	list := wire.AppendStream(nil, []message.Value{message.BoolValue(true), message.StringValue("s")})
	compressed := []byte{0x78, 0x9c, 0x63, 0x60, 0x60, 0x60, 0xcd, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x06, 0x4e, 0x02, 0x1a} // "hello"
	send(wire.TypeActiveMQTextMessage, wire.AppendText(nil, "text"), false)
	send(wire.TypeActiveMQBytesMessage, []byte{1, 2}, false)
	send(wire.TypeActiveMQMapMessage, entries, false)
	send(wire.TypeActiveMQStreamMessage, list, false)
	send(wire.TypeActiveMQObjectMessage, []byte("object"), false)
	send(wire.TypeActiveMQMessage, nil, false)
	send(wire.TypeActiveMQTextMessage, compressed, true)
	page, err := r.broker.Browse("a", broker.Browse{})
	if err != nil {
		t.Fatal(err)
	}
	want := []message.Body{
		message.TextBody("text"), message.BytesBody([]byte{1, 2}),
		message.MapBody([]message.MapEntry{{Key: message.StringValue("k"), Value: message.StringValue("v")}}),
		message.StreamBody([]message.Value{message.BoolValue(true), message.StringValue("s")}),
		message.ObjectBody([]byte("object")),
		{},
		message.TextBody("hello"),
	}
	for i, w := range page.Messages {
		v, err := w.Message.View(r.front.opts.Converters)
		if err != nil || !v.Body.Equal(want[i]) {
			t.Errorf("body %d is %v (%v), want %v", i, v, err, want[i])
			continue
		}
		if n, ok := v.Property("n"); !ok || !n.Equal(message.Int32Value(7)) {
			t.Errorf("property n of %d is %v", i, n)
		}
		// As a message of another protocol it comes back the same.
		foreign := message.NewView(&w.Message.Envelope, v)
		var x dispatches
		m, err := x.message(foreign, r.front.opts.Converters)
		if err != nil {
			t.Fatal(err)
		}
		got, err := body(m.StructureType(), m.Fields().Content)
		if err != nil || !got.Equal(want[i]) {
			t.Errorf("body %d came back as %v (%v)", i, got, err)
		}
	}
}

func TestABodyThatInflatesWithoutEndIsNotRead(t *testing.T) {
	p := payload{kind: wire.TypeActiveMQBytesMessage, flags: flagCompressed | flagContent, content: []byte{0x7F, 0xFF, 0xFF, 0xFF, 0x78, 0x9c}}
	if b, err := inflate(&p); err == nil {
		t.Errorf("inflated to %d bytes", len(b))
	}
}

func xid(n byte) *wire.XATransactionID {
	return &wire.XATransactionID{FormatID: 7, GlobalTransactionID: []byte{n, 2, 3}, BranchQualifier: []byte("branch")}
}

// branch takes "in" from queue a and sends "out" to queue b in an XA branch.
func (c *peer) branch(n byte) {
	c.t.Helper()
	c.ask(c.text(int64(n)*10, queueNamed("a"), "in"))
	c.consume(int64(n), queueNamed("a"), 10)
	d := c.get("in")
	c.ask(&wire.TransactionInfo{TransactionID: xid(n), Type: txBegin})
	c.ask(&wire.TransactionInfo{TransactionID: xid(n), Type: txBegin}) // joins
	out, a := c.text(int64(n)*10+1, queueNamed("b"), "out"), c.ack(ackStandard, int64(n), d, d, 1)
	out.TransactionID, a.TransactionID = xid(n), xid(n)
	c.ask(out)
	c.ask(a)
	c.ask(&wire.TransactionInfo{TransactionID: xid(n), Type: txEnd})
}

func (c *peer) result(cmd wire.Command, want int32) {
	c.t.Helper()
	s := c.request(cmd)
	if r, ok := s.(*wire.IntegerResponse); !ok || r.Result != want {
		c.t.Fatalf("%s: got %s, want %d", cmd.StructureType(), show(s), want)
	}
}

func (c *peer) prepared() (list []string) {
	c.t.Helper()
	s, ok := c.request(&wire.TransactionInfo{Type: txRecover}).(*wire.DataArrayResponse)
	if !ok || s.Data == nil {
		c.t.Fatalf("recover: %v", s)
	}
	for _, x := range s.Data {
		name, err := xidName(x.(*wire.XATransactionID))
		if err != nil {
			c.t.Fatal(err)
		}
		list = append(list, name)
	}
	return list
}

func TestABranchIsCommittedInTwoPhasesByAnyConnection(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect("c")
	prepare := &wire.TransactionInfo{TransactionID: xid(1), Type: txPrepare}
	c.branch(1)
	c.refused(&wire.TransactionInfo{TransactionID: xid(1), Type: txCommitTwoPhase}, classXA)
	c.result(prepare, xaOK)
	c.result(prepare, xaOK) // again
	if name, _ := xidName(xid(1)); !slices.Equal(c.prepared(), []string{name}) {
		t.Fatalf("prepared: %q", c.prepared())
	}
	c.ask(&wire.RemoveInfo{ObjectID: &wire.ConnectionID{Value: wire.Text("c")}, LastDeliveredSequenceID: lastUnknown})
	d := r.connect("d")
	d.consume(1, queueNamed("a"), 10)
	d.consume(2, queueNamed("b"), 10)
	d.none()
	d.ask(&wire.TransactionInfo{TransactionID: xid(1), Type: txCommitTwoPhase})
	d.get("out")
	d.none()
	d.refused(&wire.TransactionInfo{TransactionID: xid(1), Type: txCommitTwoPhase}, classXA)
	if list := d.prepared(); list != nil {
		t.Errorf("still prepared: %q", list)
	}
}

func TestARolledBackBranchLeavesItsDeliveriesWithTheClient(t *testing.T) {
	for _, prepared := range []bool{false, true} {
		c := newRig(t, nil).connect("c")
		c.branch(1)
		if prepared {
			c.result(&wire.TransactionInfo{TransactionID: xid(1), Type: txPrepare}, xaOK)
		}
		c.ask(&wire.TransactionInfo{TransactionID: xid(1), Type: txRollback})
		c.none()
		c.ask(&wire.RemoveInfo{ObjectID: c.consumer(1), LastDeliveredSequenceID: lastUnknown})
		c.consume(2, queueNamed("a"), 10)
		if d := c.get("in"); d.RedeliveryCounter != 1 {
			t.Errorf("redelivery counter %d", d.RedeliveryCounter)
		}
	}
}

func TestABranchInOnePhaseAndOneThatDidNothing(t *testing.T) {
	c := newRig(t, nil).connect("c")
	c.branch(1)
	c.ask(&wire.TransactionInfo{TransactionID: xid(1), Type: txCommitOnePhase})
	c.consume(2, queueNamed("b"), 10)
	c.get("out")
	c.ask(&wire.TransactionInfo{TransactionID: xid(2), Type: txBegin})
	c.result(&wire.TransactionInfo{TransactionID: xid(2), Type: txPrepare}, xaReadOnly)
	c.refused(&wire.TransactionInfo{TransactionID: xid(2), Type: txCommitTwoPhase}, classXA)
	c.refused(&wire.TransactionInfo{TransactionID: &wire.XATransactionID{}, Type: txPrepare}, classXA)
	c.refused(&wire.TransactionInfo{TransactionID: xid(3), Type: txPrepare}, classXA)
}

func TestAClientThatReconnectsMaySendAgain(t *testing.T) {
	r := newRig(t, nil)
	connect := func() *peer {
		c := r.negotiate(wire.Format{Version: 12})
		c.id = "same"
		c.write(&wire.ConnectionControl{FaultTolerant: true})
		c.ask(&wire.ConnectionInfo{ConnectionID: &wire.ConnectionID{Value: wire.Text(c.id)}, ClientID: wire.Text("client"), FailoverReconnect: true})
		c.ask(&wire.SessionInfo{SessionID: &wire.SessionID{ConnectionID: wire.Text(c.id), Value: 1}})
		c.ask(&wire.ProducerInfo{ProducerID: c.producer()})
		return c
	}
	q := queueNamed("a")
	c := connect()
	c.ask(c.text(1, q, "1"))
	c.ask(c.text(2, q, "2"))
	c = connect()
	c.ask(c.text(2, q, "2"))
	c.ask(c.text(3, q, "3"))
	c.consume(1, q, 10)
	for _, want := range []string{"1", "2", "3"} {
		c.get(want)
	}
	c.none()
}

package bench

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

func openwireTestCodec(said *bytes.Buffer) *openwireCodec {
	return &openwireCodec{rw: said, id: "c", encoder: wire.NewEncoder(wire.Format{Version: 12}), setup: openwireSetup}
}

func decodeOpenWire(t *testing.T, frame []byte) wire.Structure {
	t.Helper()
	if n := binary.BigEndian.Uint32(frame); int(n) != len(frame)-4 {
		t.Fatalf("a frame of %d bytes says %d", len(frame), n)
	}
	s, err := wire.NewDecoder(wire.Format{Version: 12}).Decode(frame[4:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenWireFramesCarryStampAndNumbers(t *testing.T) {
	k := openwireTestCodec(new(bytes.Buffer))
	f, err := k.publication(publication{destination: "queue://q", size: 20, persistent: true, confirm: true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	s := stamp{run: 1, producer: 2, seq: 0x12345, ticks: 5}
	f.mark(1, s)
	m := decodeOpenWire(t, f.buf[f.size:]).(*wire.ActiveMQBytesMessage)
	if m.CommandID != int32(numberOf(s.seq)) || !m.ResponseRequired || !m.Persistent || m.MessageID.ProducerSequenceID != 0x12346 {
		t.Errorf("%+v", m)
	}
	if got, err := readStamp(m.Content); err != nil || got != s || len(m.Content) != 20 {
		t.Errorf("body %q: %+v, %v", m.Content, got, err)
	}
}

func TestOpenWireDeliveriesAreAcknowledgedByTheirIDs(t *testing.T) {
	k := openwireTestCodec(new(bytes.Buffer))
	f, err := k.publication(publication{destination: "queue://q", size: 20}, 1)
	if err != nil {
		t.Fatal(err)
	}
	m := decodeOpenWire(t, f.buf).(*wire.ActiveMQBytesMessage)
	m.ReplyTo, m.OriginalDestination, m.Type = m.Destination, m.Destination, wire.Text("t")
	consumer := &wire.ConsumerID{ConnectionID: wire.Text("c"), SessionID: 1, Value: 1}
	deliver := func(sequence int64) (e event) {
		t.Helper()
		m.MessageID.ProducerSequenceID = sequence
		frame, err := wire.NewEncoder(wire.Format{Version: 12}).Append(nil, &wire.MessageDispatch{ConsumerID: consumer, Destination: m.Destination, Message: m})
		if err != nil {
			t.Fatal(err)
		}
		for cut := range frame {
			if n, err := k.next(frame[:cut], &e); n != 0 || err != nil {
				t.Fatalf("%d of %d bytes are a frame: %d, %v", cut, len(frame), n, err)
			}
		}
		if n, err := k.next(frame, &e); n != len(frame) || err != nil || e.kind != eventDelivery || !bytes.Equal(e.body, m.Content) {
			t.Fatalf("%d, %v, %+v", n, err, e)
		}
		return e
	}
	said := k.appendSubscribe(nil, subscription{destination: "queue://q", ack: ackClient})
	if info := decodeOpenWire(t, said).(*wire.ConsumerInfo); info.PrefetchSize != 1000 || *info.ConsumerID != *consumer || info.Destination.Name() != "q" {
		t.Errorf("%+v", info)
	}
	deliver(1)
	e := deliver(2)
	a := decodeOpenWire(t, k.appendAck(nil, &e)).(*wire.MessageAck)
	if a.FirstMessageID != nil || a.LastMessageID.ProducerSequenceID != 2 || a.MessageCount != 2 || a.AckType != 2 || a.Destination.Name() != "q" {
		t.Errorf("%+v", a)
	}
	k.mode = ackIndividual
	e = deliver(3)
	a = decodeOpenWire(t, k.appendAck(nil, &e)).(*wire.MessageAck)
	if a.FirstMessageID.ProducerSequenceID != 3 || a.LastMessageID.ProducerSequenceID != 3 || a.MessageCount != 1 {
		t.Errorf("%+v", a)
	}
	k.mode, k.prefetch = ackAuto, 4
	deliver(4)
	if said := k.appendAnswers(nil); said != nil {
		t.Errorf("said %x before half of the prefetch", said)
	}
	deliver(5)
	a = decodeOpenWire(t, k.appendAnswers(nil)).(*wire.MessageAck)
	if a.LastMessageID.ProducerSequenceID != 5 || a.MessageCount != 2 {
		t.Errorf("%+v", a)
	}
}

func TestOpenWireAnswersConfirmMessagesOrCommands(t *testing.T) {
	k := openwireTestCodec(nil)
	for _, tt := range []struct {
		said wire.Structure
		want event
	}{
		{&wire.Response{CorrelationID: 77}, event{kind: eventConfirm, numbered: true, id: 77}},
		{&wire.Response{CorrelationID: openwireSetup + 1}, event{kind: eventReply}},
		{&wire.KeepAliveInfo{}, event{}},
		{&wire.ExceptionResponse{Exception: &wire.Throwable{Text: wire.Text("no")}}, event{kind: eventRefusal, body: []byte("no")}},
		{&wire.ConnectionError{Exception: &wire.Throwable{Text: wire.Text("end")}}, event{kind: eventRefusal, body: []byte("end")}},
	} {
		frame, err := wire.NewEncoder(wire.Format{Version: 12}).Append(nil, tt.said)
		if err != nil {
			t.Fatal(err)
		}
		var e event
		n, err := k.next(frame, &e)
		if n != len(frame) || err != nil || e.kind != tt.want.kind || e.id != tt.want.id || e.numbered != tt.want.numbered || !bytes.Equal(e.body, tt.want.body) {
			t.Errorf("%s is %+v, %v", tt.said.StructureType(), e, err)
		}
	}
}

func FuzzOpenWireNext(f *testing.F) {
	k := openwireTestCodec(new(bytes.Buffer))
	p, err := k.publication(publication{destination: "topic://q", size: 20}, 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.buf)
	f.Add([]byte{0, 0, 0, 12, 21, 0, 0, 0, 0, 0, 0, 0, 1, 24, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var e event
		if n, err := openwireTestCodec(nil).next(b, &e); err == nil && n > len(b) {
			t.Fatalf("%d of %d bytes", n, len(b))
		}
	})
}

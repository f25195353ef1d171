package bench

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func TestAMQPFramesCarryStampNumberAndTag(t *testing.T) {
	var said bytes.Buffer
	c := &amqpCodec{rw: &said}
	f, err := c.publication(publication{destination: "queue://q", size: 20, persistent: true, confirm: true}, 2)
	if err != nil {
		t.Fatal(err)
	}
	s := stamp{run: 1, producer: 2, seq: 0x1234, ticks: 5}
	f.mark(1, s)
	frame := f.buf[f.size:]
	if n := binary.BigEndian.Uint32(frame); int(n) != len(frame) || len(frame) != f.size {
		t.Fatalf("frame of %d bytes says %d", len(frame), n)
	}
	code, fields, err := amqpPerformative(frame[amqpHead:])
	if err != nil || code != amqpTransfer {
		t.Fatalf("performative %#x, %v", code, err)
	}
	fields.next()
	if id := amqpNumber(fields.next()); id != 0x1235 {
		t.Errorf("delivery id %#x", id)
	}
	tag := fields.next()
	if got, err := readStamp(tag[2:]); err != nil || got != s {
		t.Errorf("tag %q: %+v, %v", tag, got, err)
	}
	var e event
	if n, err := (&amqpCodec{}).next(frame, &e); err != nil || n != len(frame) || e.kind != eventDelivery {
		t.Fatalf("as a delivery: %d, %v, kind %d", n, err, e.kind)
	}
	if got, err := readStamp(e.body); err != nil || got != s || len(e.body) != 20 {
		t.Errorf("body %q: %+v, %v", e.body, got, err)
	}
}

func TestAMQPDispositionsConfirmRanges(t *testing.T) {
	b := appendAMQPFrame(nil, 0, amqpList(amqpDisposition, amqpTrue, amqpUint(7), amqpUint(9), amqpTrue, amqpList(amqpAccepted)))
	var e event
	if n, err := (&amqpCodec{}).next(b, &e); err != nil || n != len(b) || e.kind != eventConfirm || e.id != 7 || e.more != 2 {
		t.Errorf("%d, %v, %+v", n, err, e)
	}
	b = appendAMQPFrame(nil, 0, amqpList(amqpDisposition, amqpTrue, amqpUint(7), amqpNothing, amqpTrue, amqpList(0x25)))
	if _, err := (&amqpCodec{}).next(b, &e); err != nil || e.kind != eventRefusal {
		t.Errorf("a rejection is %+v, %v", e, err)
	}
}

func TestAMQPCreditIsWhatTheFlowSays(t *testing.T) {
	c := &amqpCodec{sending: true}
	b := appendAMQPFrame(nil, 0, amqpList(amqpFlow, amqpUint(1), amqpUint(2), amqpUint(3), amqpUint(4), amqpUint(0), amqpUint(700), amqpUint(1000)))
	var e event
	if n, err := c.next(b, &e); err != nil || n != len(b) || c.allowance() != 1700 {
		t.Errorf("%d, %v, allowance %d", n, err, c.allowance())
	}
}

func TestAMQPFramesThatCantBeReadAreErrors(t *testing.T) {
	for _, b := range [][]byte{
		{0, 0, 0, 7, 2, 0, 0, 0},
		{0, 0, 0, 8, 3, 0, 0, 0},
		appendAMQPFrame(nil, 0, []byte{1}),
		appendAMQPFrame(nil, 0, []byte{0, 0x53, amqpTransfer, 0xc0, 99}),
		appendAMQPFrame(nil, 0, amqpList(amqpTransfer, amqpUint(0))),
	} {
		var e event
		if n, err := (&amqpCodec{}).next(b, &e); err == nil {
			t.Errorf("% x: %d, %+v", b, n, e)
		}
	}
}

// A broker that looks at delivery ids ended the link when they began anew.
func TestAMQPDeliveryIDsGoOnBeyond16Bits(t *testing.T) {
	c := &amqpCodec{rw: &bytes.Buffer{}}
	f, err := c.publication(publication{destination: "queue://q", size: 20, confirm: true}, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint32{0, 0xfffe, 0xffff, 0x10000, 0x12345678} {
		f.mark(0, stamp{seq: seq})
		_, fields, err := amqpPerformative(f.buf[amqpHead:])
		if err != nil {
			t.Fatal(err)
		}
		fields.next()
		id := amqpNumber(fields.next())
		if id != uint64(seq)+1 {
			t.Errorf("message %d has the delivery id %d", seq, id)
		}
		frame := appendAMQPFrame(nil, 0, amqpList(0x15, amqpTrue, amqpUint(uint32(id)), amqpNothing, amqpTrue, amqpList(amqpAccepted)))
		var e event
		if _, err := c.next(frame, &e); err != nil || e.kind != eventConfirm || e.id != numberOf(seq) || e.more != 0 {
			t.Errorf("the confirmation of message %d is %+v, %v", seq, e, err)
		}
	}
}

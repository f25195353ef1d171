package amqp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// FuzzMessage reads a message as a publisher's and sends it on.
func FuzzMessage(f *testing.F) {
	full := (&header{durable: true, priority: 9, ttl: some(uint32(5)), deliveryCount: 2}).append(nil)
	full = appendMapSection(full, codeDeliveryAnnotations, []message.MapEntry{{Key: message.SymbolValue("x"), Value: message.Int32Value(1)}})
	full = appendMapSection(full, codeMessageAnnotations, []message.MapEntry{
		{Key: message.SymbolValue(annotationDelay), Value: message.Int64Value(1)},
		{Key: message.SymbolValue(annotationReplyTo), Value: message.Int8Value(1)},
	})
	full = (&properties{messageID: message.UUIDValue([16]byte{1}), replyTo: message.StringValue("r"), subject: "s", groupSequence: some(uint32(1))}).append(full)
	full = appendMapSection(full, codeApplicationProperties, []message.MapEntry{{Key: message.StringValue("k"), Value: message.DoubleValue(1)}})
	f.Add(append(full, body("x")...))
	f.Add(append(body("x"), body("y")...))
	for _, v := range sampleValues() {
		f.Add(appendValue([]byte{fmtDescribed, fmtSmallUlong, codeValue}, v))
	}
	f.Add(appendValue([]byte{fmtDescribed, fmtSmallUlong, codeSequence}, message.ListValue([]message.Value{message.Int32Value(1)})))
	converters := message.Converters{message.EncodingAMQP: Converter{}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e message.Envelope
		in := ingress{names: prefixes{defaultQueuePrefix, defaultTopicPrefix}, nowMs: 1}
		payload, err := envelopeOf(b, &e, &in)
		if err != nil {
			return
		}
		e.Destination = message.Queue("q")
		m := message.New(&e, message.EncodingAMQP, payload)
		v, err := m.View(converters)
		if err != nil {
			t.Fatalf("a message that was taken has no view: %v", err)
		}
		r := renderer{converters: converters, names: in.names}
		same, err := r.render(m, 1, true, 2)
		if err != nil {
			t.Fatal(err)
		}
		var again message.Envelope
		if _, err := envelopeOf(append(same.head, same.tail...), &again, &ingress{names: in.names}); err != nil {
			t.Fatalf("what is sent can't be read: %v", err)
		}
		foreign := message.NewView(&e, v)
		other, err := (&renderer{converters: message.Converters{message.EncodingHub: message.Hub{}}, names: in.names}).render(foreign, 0, false, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := envelopeOf(append(other.head, other.tail...), &again, &ingress{names: in.names}); err != nil {
			t.Fatalf("what the hub's message became can't be read: %v", err)
		}
	})
}

// FuzzConnection says anything to a frontend behind a session.
func FuzzConnection(f *testing.F) {
	frames := func(ps ...interface{ append([]byte) []byte }) (b []byte) {
		for _, p := range ps {
			at := len(b)
			b = endFrame(p.append(beginFrame(b, frameAMQP, 0)), at)
		}
		return b
	}
	out := attach{name: "o", target: terminus{node: &target{address: address("a")}}}
	in := attach{name: "i", handle: 1, role: true, source: &source{address: address("a"), filter: filterSet("a = 1", true)}}
	f.Add(frames(&out, &in, &flow{handle: some(uint32(1)), linkCredit: some(uint32(9)), drain: true, echo: true}, &detach{closed: true}, &end{}))
	f.Add(frames(&attach{name: "t", handle: 2, target: terminus{coordinator: &coordinator{}}}, &disposition{role: true, state: state{kind: stateModified}}))
	f.Add(frames(&out, &transfer{deliveryID: some(uint32(1)), deliveryTag: []byte("t"), more: true}, &transfer{aborted: true}, &closing{}))
	log := slog.New(slog.DiscardHandler)
	br, err := broker.Open(broker.Options{Name: "test", Logger: log})
	if err != nil {
		f.Fatal(err)
	}
	wheel := protocols.NewWheel(10*time.Millisecond, log)
	f.Cleanup(func() {
		wheel.Close()
		_ = br.Close(context.Background()) // in memory
	})
	front := New(Options{Broker: br, Logger: log, Name: "test"})
	var clients atomic.Uint64
	f.Fuzz(func(t *testing.T, b []byte) {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, near) }()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			front.Serve(&protocols.Conn{Conn: far, Values: protocols.Values{}, Wheel: wheel})
		}()
		_ = near.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = near.Write([]byte(headerAMQP))
		_, _ = near.Write(frames(&open{containerID: fmt.Sprint("f", clients.Add(1)), maxFrameSize: 512, channelMax: 3}, &begin{incomingWindow: 10}))
		_, _ = near.Write(b)
		_ = near.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the connection does not end")
		}
	})
}

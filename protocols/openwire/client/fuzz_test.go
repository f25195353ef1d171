package client_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols/openwire/client"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// FuzzBroker has a broker say anything: the client ends, and nothing else.
func FuzzBroker(f *testing.F) {
	say := func(list ...wire.Structure) (b []byte) {
		e := wire.NewEncoder(wire.Format{Version: 12})
		for _, s := range list {
			var err error
			if b, err = e.Append(b, s); err != nil {
				f.Fatal(err)
			}
		}
		return b
	}
	hello := &wire.WireFormatInfo{Magic: [8]byte([]byte("ActiveMQ")), Version: 12, MarshalledProperties: wire.AppendMap(nil, []message.Property{
		{Name: "MaxInactivityDuration", Value: message.Int64Value(1000)},
	})}
	response := func(n int32) *wire.Response { return &wire.Response{CorrelationID: n} }
	to := &wire.ConsumerID{ConnectionID: wire.Text("c"), SessionID: 1, Value: 1}
	f.Add(say(hello))
	f.Add(say(hello, &wire.BrokerInfo{BrokerID: &wire.BrokerID{}}, response(1), response(2), response(3),
		&wire.MessageDispatch{ConsumerID: to, Message: client.NewText("x")}, &wire.MessageDispatch{ConsumerID: to},
		&wire.ConsumerControl{ConsumerID: to, Close: true}, &wire.ProducerAck{ProducerID: &wire.ProducerID{}, Size: -1}))
	f.Add(say(hello, &wire.BrokerInfo{}, &wire.ExceptionResponse{Response: *response(1), Exception: &wire.Throwable{}}))
	f.Add(say(hello, &wire.ConnectionError{Exception: &wire.Throwable{}}, &wire.KeepAliveInfo{BaseCommand: wire.BaseCommand{ResponseRequired: true}}))
	f.Fuzz(func(t *testing.T, said []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }() // ends with the pipe
		go func() {
			_, _ = theirs.Write(said) // the client may end before
			_ = theirs.Close()
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c, err := client.New(ctx, ours, client.Options{})
		if err != nil {
			return
		}
		if s, err := c.NewSession(ctx); err == nil {
			if k, err := s.NewConsumer(ctx, client.ConsumerOptions{Destination: queue("a")}); err == nil {
				_, _ = k.Receive(ctx) // whatever it is
			}
		}
		if err := c.Close(ctx); err == nil && ctx.Err() != nil {
			t.Fatal("the client waits for ever")
		}
	})
}

package amqp

import (
	"bytes"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// A producer that waits for memory must not keep its own connection's
// acknowledgements, which would make room, from being read.
func TestAcknowledgementsPassAProducerThatIsHeldBack(t *testing.T) {
	r := newRigWith(t, nil, broker.Options{Memory: 256 << 10})
	s := r.session(r.dial("c"))
	out, in := r.sender(s, "a", nil), r.receiver(s, "a", &goamqp.ReceiverOptions{Credit: 10})
	const n = 400
	sent := make(chan error, 1)
	go func() {
		var receipts []goamqp.SendReceipt
		for range n {
			receipt, err := out.SendWithReceipt(r.ctx, goamqp.NewMessage(bytes.Repeat([]byte("x"), 4<<10)), nil)
			if err != nil {
				sent <- err
				return
			}
			receipts = append(receipts, receipt)
		}
		for _, receipt := range receipts {
			if _, err := receipt.Wait(r.ctx); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	r.eventually("the producer waits", func() bool { return r.broker.Stats().WaitingProducers > 0 })
	for range n {
		r.accept(in, r.receive(in))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

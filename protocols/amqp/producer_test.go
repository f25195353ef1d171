package amqp

import (
	"fmt"
	"testing"
)

// A link on which a client sends is a producer, from its attach to its end,
// however that comes.
func TestSendersAreToldOf(t *testing.T) {
	r := newRig(t, nil)
	watching := r.receiver(r.session(r.dial("w")), "topic://ActiveMQ.Advisory.Producer.>", nil)
	c := r.dial("c")
	s := r.session(c)
	one := r.sender(s, "queue://a", nil)
	r.sender(s, "queue://a", nil)
	if err := one.Close(r.ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "2", "1", "0"} {
		m := r.receive(watching)
		if got := fmt.Sprint(m.ApplicationProperties["producerCount"]); got != want {
			t.Fatalf("producerCount is %s, want %s: %v", got, want, m.ApplicationProperties)
		}
		r.accept(watching, m)
	}
}

package openwire

import (
	"testing"

	"github.com/entrepot-mq/entrepot/protocols"
)

func TestConnectionsAndMessagesAreCounted(t *testing.T) {
	r := newRig(t, protocols.Values{})
	c := r.connect("c")
	q := queueNamed("counted")
	c.consume(1, q, 10)
	c.ask(c.text(1, q, "hello"))
	c.get("hello")
	if got, want := r.front.Snapshot(), (Stats{Connections: 1, Received: 1, Delivered: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.connect("c") // takes the id over: the older one is gone by then
	if n := r.front.Snapshot().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
}

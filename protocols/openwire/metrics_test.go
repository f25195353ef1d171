package openwire

import (
	"testing"
	"time"

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
	c.net.Close()
	for deadline := time.Now().Add(30 * time.Second); r.front.Snapshot().Connections != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection that ended still counts")
		}
	}
}

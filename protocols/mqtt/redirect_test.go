package mqtt

import (
	"bytes"
	"testing"
)

func TestAClientIsToldWhereTheMasterIs(t *testing.T) {
	r := newRig(t, nil)
	r.elsewhere = "b.example:1883"
	c, ack := r.connect(hello{v: v5, id: "c", clean: true})
	if reason(ack[1]) != useAnotherServer {
		t.Fatalf("CONNACK says %#x", ack[1])
	}
	if at := found(section(t, ack), propServerReference); len(at) != 1 || string(at[0]) != "b.example:1883" {
		t.Errorf("server reference is %q", at)
	}
	c.expectClosed()
	for _, v := range []version{v31, v311} {
		c, ack := r.connect(hello{v: v, id: "c", clean: true})
		if !bytes.Equal(ack, []byte{0, 3}) {
			t.Errorf("MQTT %v gets %x, want server unavailable", v, ack)
		}
		c.expectClosed()
	}
	// Whoever begins with something else is served no better than elsewhere.
	c = r.dial()
	c.send([]byte{byte(typePingreq) << 4, 0})
	c.expectClosed()
	if n := r.broker.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

package openwire

import (
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/protocols"
	"github.com/entrepot-mq/entrepot/protocols/openwire/wire"
)

// hello is a client's ConnectionInfo.
func hello(id string) *wire.ConnectionInfo {
	return &wire.ConnectionInfo{
		ConnectionID: &wire.ConnectionID{Value: wire.Text(id)}, ClientID: wire.Text("client of " + id), Manageable: true, FaultTolerant: true,
	}
}

func TestAClientThatReconnectsIsSentToTheMaster(t *testing.T) {
	r := newRig(t, nil)
	r.elsewhere = "b.example:61616"
	c := r.negotiate(wire.Format{Version: 12})
	c.write(hello("c"))
	if to, ok := c.read().(*wire.ConnectionControl); !ok || to.ReconnectTo.String() != "tcp://b.example:61616" {
		t.Fatalf("told %v", to)
	}
	if s := c.read(); s != nil {
		t.Errorf("got %s behind it", show(s))
	}
	c = r.negotiate(wire.Format{Version: 12})
	plain := hello("d")
	plain.FaultTolerant = false
	x, ok := c.request(plain).(*wire.ExceptionResponse)
	if !ok || !strings.Contains(x.Exception.Text.String(), "b.example:61616") {
		t.Errorf("told %v", x)
	}
	if n := r.broker.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

func TestOnlyClientsThatReconnectLearnOfTheGroup(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values protocols.Values
		plain  bool
		want   string
	}{
		{"failover", nil, false, "tcp://a:1,tcp://b:1"},
		{"plain", nil, true, ""},
		{"switched off", protocols.Values{optMembers: "false"}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, tt.values)
			r.front.opts.Members = func(listener string) []string {
				if listener != "test" {
					t.Errorf("asked for listener %q", listener)
				}
				return []string{"tcp://a:1", "tcp://b:1"}
			}
			c := r.negotiate(wire.Format{Version: 12})
			info := hello("c")
			info.FaultTolerant = !tt.plain
			c.ask(info)
			if to, ok := c.read().(*wire.ConnectionControl); !ok || to.ConnectedBrokers.String() != tt.want || to.RebalanceConnection {
				t.Errorf("told %v", to)
			}
		})
	}
}

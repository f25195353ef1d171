package broker

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

// counted reads messages, and counts them.
type counted struct {
	message.Hub
	n *atomic.Int64
}

// View implements message.Converter.
func (c counted) View(m *message.Message) (*message.View, error) {
	c.n.Add(1)
	return c.Hub.View(m)
}

// What waits in memory is summed up in the background: a selector that comes
// later looks at few messages, also at those that are not persistent.
func TestASelectorLooksAtFewOfManyMessagesInMemory(t *testing.T) {
	const (
		others   = 20_000
		unsummed = 65 * 64 // at most: a few pages are not worth it
	)
	for _, durable := range []bool{true, false} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			var read atomic.Int64
			r := newRig(t, func(o *Options) {
				o.Converters = message.Converters{message.EncodingHub: counted{n: &read}}
				o.Store.CheckpointBytes = 1 << 40
			})
			q := message.Queue("a")
			p, c := connect(t, r.Broker, ""), connect(t, r.Broker, "")
			p.fill(q, durable, others)
			eventually(t, "summaries", func() bool { return read.Load() >= others-unsummed })
			p.sendWith(q, durable, "one", text("colour", "red"))
			before := read.Load()
			c.subscribe(Subscription{Destination: q, Selector: "colour = 'red'"})
			wantTexts(t, c.deliveries(1), "one")
			if n := read.Load() - before; n > 2*unsummed {
				t.Errorf("%d of %d messages were read", n, others)
			}
		})
	}
}

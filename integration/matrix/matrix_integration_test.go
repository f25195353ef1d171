//go:build integration

package matrix

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// Every body, type of property and header that a client of one protocol can
// send arrives at one of each protocol as the tables say: by a topic, by a
// queue, and by a subscription whose owner is away meanwhile; persistent and
// not.
func TestEveryProtocolUnderstandsEveryOther(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	b, err := harness.Start(ctx, harness.Options{Program: program, Dir: t.TempDir(), Listen: []string{
		"stomp://127.0.0.1:0", "mqtt://127.0.0.1:0", "amqp://127.0.0.1:0", "tcp://127.0.0.1:0", "ws://127.0.0.1:0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	clients := make([]adapter, len(protocols))
	for i, p := range protocols {
		clients[i] = p.open(ctx, t, b, fmt.Sprint("matrix", i))
		t.Cleanup(clients[i].close)
	}
	cells := 0
	for i, from := range protocols {
		for j, to := range protocols {
			for _, place := range []string{"topic", "queue", "durable"} {
				t.Run(fmt.Sprintf("%s to %s by %s", from.name, to.name, place), func(t *testing.T) {
					cells++
					c := cell{from: from, to: to, out: clients[i], in: clients[j], number: cells}
					c.run(t, place)
				})
			}
		}
	}
}

// cell is an ordered pair of protocols.
type cell struct {
	from, to protocol
	out, in  adapter
	number   int
}

func (c *cell) run(t *testing.T, place string) {
	t.Helper()
	to, at, durable := c.addresses(place)
	if to == "" {
		return // MQTT has no queues to consume from
	}
	in := c.in.subscribe(t, at, durable)
	// Nothing orders what is urgent or of a group among the others.
	for _, samples := range [][]sample{{headed(c.from.family)}, samplesOf(c.from.family)} {
		for _, persistent := range []bool{true, false} {
			if durable != "" && !persistent && (c.to.family == MQTT3 || c.to.family == MQTT5) {
				continue // QoS 0 is not kept for who is away
			}
			if durable != "" {
				in.leave(t)
			}
			for _, s := range samples {
				m := s.sent
				m.Durable = persistent
				c.out.publish(t, to, m)
			}
			if durable != "" {
				in = c.in.subscribe(t, at, durable)
			}
			for _, s := range samples {
				c.compare(t, in.receive(t), &s, persistent)
			}
		}
	}
	in.leave(t)
}

func (c *cell) compare(t *testing.T, got Content, s *sample, persistent bool) {
	t.Helper()
	want := s.expected(c.from.family, c.to.family, persistent)
	if c.to.family == AMQP {
		want.Properties, want.Entries = symbolsAsStrings(want.Properties), symbolsAsStrings(want.Entries)
	}
	if got, want := got.String(), want.String(); got != want {
		t.Errorf("%s, persistent %v:\ngot  %s\nwant %s", s.name, persistent, got, want)
	}
}

// addresses returns where to publish and where to consume, and the name of a
// durable subscription.
func (c *cell) addresses(place string) (to, at, durable string) {
	name := fmt.Sprint("matrix.", c.number)
	switch {
	case place == "topic":
		return "topic://" + name, "topic://" + name, ""
	case place == "durable":
		return "topic://" + name, "topic://" + name, fmt.Sprint("d", c.number)
	case c.to.family == MQTT3 || c.to.family == MQTT5:
		return "", "", ""
	case c.from.family == MQTT3 || c.from.family == MQTT5:
		return "topic://VirtualTopic." + name, "queue://Consumer.c.VirtualTopic." + name, ""
	}
	return "queue://" + name, "queue://" + name, ""
}

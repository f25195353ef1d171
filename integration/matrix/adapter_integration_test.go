//go:build integration

package matrix

import (
	"context"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// patience is the longest that anything may take.
const patience = 30 * time.Second

// adapter is a client of one protocol: how it says what the tables say. What
// goes wrong ends the test.
type adapter interface {
	// publish sends c to a destination ("queue://a", "topic://a") and returns
	// when the broker has answered for it, if the protocol can ask for that.
	publish(t *testing.T, destination string, c Content)
	// subscribe returns a subscription that is in place. With a name it is a
	// durable one, which stays when it is left.
	subscribe(t *testing.T, destination, durable string) inbox
	close()
}

// inbox is a subscription.
type inbox interface {
	receive(t *testing.T) Content
	// leave ends it, or interrupts it if it is durable.
	leave(t *testing.T)
}

// protocol is a row and a column of the matrix.
type protocol struct {
	name   string
	family Family
	// open connects; all names that the client gives itself begin with id.
	open func(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter
}

var protocols = []protocol{
	{"STOMP", STOMP, openSTOMP},
	{"STOMP over WebSocket", STOMP, openWebSTOMP},
	{"MQTT 3.1.1", MQTT3, openMQTT3},
	{"MQTT 5", MQTT5, openMQTT5},
	{"MQTT 5 over WebSocket", MQTT5, openWebMQTT5},
	{"AMQP", AMQP, openAMQP},
	{"AMQP over WebSocket", AMQP, openWebAMQP},
	{"OpenWire", OpenWire, openOpenWire},
}

// inAnHour returns the word of the tables for a time of expiry.
func expiryWord(left time.Duration) string {
	if left > 55*time.Minute && left <= 61*time.Minute {
		return inAnHour
	}
	return left.String()
}

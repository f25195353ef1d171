package api

import (
	"encoding/hex"
	"net"
	"sync/atomic"
	"testing"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
)

// testClient is a connection that subscribes and takes what it gets.
type testClient struct {
	*broker.Session
	got    chan broker.Delivery
	closed atomic.Int32
}

func (c *testClient) Deliver(d broker.Delivery) { c.got <- d }
func (c *testClient) Resume()                   {}
func (c *testClient) Closed(error)              { c.closed.Add(1) }

// connectClient connects one that consumes from a queue and two topics, and
// has sent something.
func connectClient(t *testing.T, b *broker.Broker) *testClient {
	t.Helper()
	c := &testClient{got: make(chan broker.Delivery, 1000)}
	s, err := b.Connect(broker.ConnectRequest{
		Protocol: "test", Version: "1", ClientID: "client", Login: "somebody", Listener: "here",
		Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, Sink: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Session = s
	t.Cleanup(s.Close)
	for _, sub := range []broker.Subscription{
		{Destination: message.Queue("elsewhere"), Window: 1},
		{Destination: message.Topic("t.>"), Window: 1},
		{Destination: message.Topic("u"), Durable: "d", Window: 1},
	} {
		if _, err := s.Subscribe(sub); err != nil {
			t.Fatal(err)
		}
	}
	s.Publish(message.NewView(&message.Envelope{ID: s.NewID(), Destination: message.Queue("sent"), Timestamp: 1}, &message.View{}), nil, 0)
	return c
}

// schedule has c schedule a message that repeats, and returns the job's id.
func schedule(t *testing.T, c *testClient) string {
	t.Helper()
	e := message.Envelope{ID: c.NewID(), Destination: message.Queue("later"), Durable: true, Priority: 4, Timestamp: 1}
	for name, value := range map[string]string{"AMQ_SCHEDULED_DELAY": "3600000", "AMQ_SCHEDULED_PERIOD": "1000", "AMQ_SCHEDULED_REPEAT": "3"} {
		e.Annotations = append(e.Annotations, message.Annotation{Name: name, Value: value})
	}
	w := make(done, 1)
	c.Publish(message.NewView(&e, &message.View{Body: message.TextBody("x")}), w, 0)
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	return e.ID.String()
}

// prepare has c prepare a transaction that sends its name, and returns its id.
func prepare(t *testing.T, c *testClient, name string) (id string) {
	t.Helper()
	tx := c.Begin()
	e := message.Envelope{ID: c.NewID(), Destination: message.Queue("prepared"), Durable: true, Priority: 4, Timestamp: 1}
	if err := tx.Publish(message.NewView(&e, &message.View{Body: message.TextBody(name)})); err != nil {
		t.Fatal(err)
	}
	w := make(done, 1)
	if _, err := tx.Prepare(name, w, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-w; err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString([]byte(name))
}

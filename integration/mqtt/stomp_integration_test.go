//go:build integration

package mqtt

import (
	"net/url"
	"testing"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"github.com/entrepot-mq/entrepot/integration/wire"
)

// TestMessagesPassBetweenMQTTAndSTOMP sends through each protocol and receives
// through the other: bodies, properties, durable, retained, expiry, shared.
func TestMessagesPassBetweenMQTTAndSTOMP(t *testing.T) {
	b := startBroker(t, t.TempDir())
	got := make(chan *paho.Publish, 10)
	five := openFive(t, "mqtt://"+b.Addr("mqtt"), got)
	s, err := wire.Open(b.Addr("stomp"), patience, "client-id", "stomp")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	subscribe := func(id, destination string, headers ...string) {
		t.Helper()
		f := wire.New("SUBSCRIBE", append([]string{"id", id, "destination", destination, "receipt", id}, headers...)...)
		if err := s.Send(f); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Expect("RECEIPT", patience); err != nil {
			t.Fatal(err)
		}
	}
	message := func(body string, headers ...string) wire.Frame {
		t.Helper()
		f, err := s.Expect("MESSAGE", patience)
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Body) != body {
			t.Fatalf("got %s, want body %q", f, body)
		}
		for i := 0; i < len(headers); i += 2 {
			if f.Headers[headers[i]] != headers[i+1] {
				t.Errorf("header %s is %q, want %q", headers[i], f.Headers[headers[i]], headers[i+1])
			}
		}
		return f
	}
	publish := func(p *paho.Publish) {
		t.Helper()
		if _, err := five.Publish(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}

	expiry := uint32(60)
	subscribe("1", "/topic/x.>", "activemq.subscriptionName", "durable")
	publish(&paho.Publish{
		Topic: "x/y", QoS: 1, Payload: []byte("from mqtt"),
		Properties: &paho.PublishProperties{
			ContentType: "text/x", CorrelationData: []byte("c1"), ResponseTopic: "re/ply", MessageExpiry: &expiry,
			User: paho.UserProperties{{Key: "colour", Value: "red"}},
		},
	})
	f := message("from mqtt", "destination", "/topic/x.y", "content-type", "text/x", "correlation-id", "c1",
		"reply-to", "/topic/re.ply", "colour", "red", "persistent", "true")
	if f.Headers["expires"] == "0" {
		t.Error("the message doesn't expire")
	}

	if _, err := five.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "from/stomp", QoS: 2}}}); err != nil {
		t.Fatal(err)
	}
	send := wire.New("SEND", "destination", "/topic/from.stomp", "persistent", "true", "colour", "blue", "correlation-id", "c2",
		"reply-to", "/topic/an.swer", "content-type", "text/y")
	send.Body = []byte("from stomp")
	if err := s.Send(send); err != nil {
		t.Fatal(err)
	}
	m := next(t, got)
	if string(m.Payload) != "from stomp" || m.QoS != 1 || m.Properties.ContentType != "text/y" || m.Properties.ResponseTopic != "an/swer" ||
		string(m.Properties.CorrelationData) != "c2" || m.Properties.User.Get("colour") != "blue" {
		t.Errorf("got %+v", m)
	}

	// What a topic remembers, for late subscribers of the other protocol.
	publish(&paho.Publish{Topic: "kept/a", QoS: 1, Retain: true, Payload: []byte("by mqtt")})
	subscribe("2", "/topic/kept.a", "activemq.retroactive", "true")
	message("by mqtt")
	keep := wire.New("SEND", "destination", "/topic/kept.b", "persistent", "true", "ActiveMQ.Retain", "true", "receipt", "kept")
	keep.Body = []byte("by stomp")
	if err := s.Send(keep); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expect("RECEIPT", patience); err != nil {
		t.Fatal(err)
	}
	if _, err := five.Subscribe(t.Context(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "kept/b", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	if m := next(t, got); string(m.Payload) != "by stomp" || !m.Retain {
		t.Errorf("got %+v", m)
	}
}

func openFive(t *testing.T, address string, got chan *paho.Publish) *autopaho.ConnectionManager {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := autopaho.NewConnection(t.Context(), autopaho.ClientConfig{
		ServerUrls: []*url.URL{u}, KeepAlive: 20, SessionExpiryInterval: 60,
		ClientConfig: paho.ClientConfig{
			ClientID: t.Name(),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
				got <- r.Packet
				return true, nil
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitConnection(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

//go:build integration

package matrix

import (
	"context"
	"encoding/hex"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

type mqtt5Client struct {
	ctx  context.Context
	dial func(*testing.T) net.Conn
	id   string
	out  *paho.Client
	subs []*mqtt5Inbox
}

func openMQTT5(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newMQTT5(ctx, t, id, func(t *testing.T) net.Conn {
		c, err := net.DialTimeout("tcp", b.Addr("mqtt"), patience)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

func openWebMQTT5(ctx context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	return newMQTT5(ctx, t, id, func(t *testing.T) net.Conn { return dialWeb(ctx, t, b.Addr("ws"), "mqtt") })
}

func newMQTT5(ctx context.Context, t *testing.T, id string, dial func(*testing.T) net.Conn) adapter {
	t.Helper()
	c := &mqtt5Client{ctx: ctx, dial: dial, id: id}
	c.out = c.connect(t, id+"-out", true, nil)
	return c
}

func (c *mqtt5Client) connect(t *testing.T, id string, clean bool, got chan *paho.Publish) *paho.Client {
	t.Helper()
	client := paho.NewClient(paho.ClientConfig{
		ClientID: id, Conn: packets.NewThreadSafeConn(c.dial(t)), PacketTimeout: patience,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){
			func(m paho.PublishReceived) (bool, error) { got <- m.Packet; return true, nil },
		},
	})
	connect := &paho.Connect{ClientID: id, CleanStart: clean}
	if !clean {
		hour := uint32(3600)
		connect.Properties = &paho.ConnectProperties{SessionExpiryInterval: &hour}
	}
	if _, err := client.Connect(c.ctx, connect); err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *mqtt5Client) close() {
	_ = c.out.Disconnect(&paho.Disconnect{})
	for _, s := range c.subs {
		_ = s.client.Disconnect(&paho.Disconnect{})
	}
}

func (c *mqtt5Client) publish(t *testing.T, destination string, m Content) {
	t.Helper()
	p := &paho.Publish{Topic: mqttTopic(t, destination), QoS: mqttQoS(m.Durable), Properties: &paho.PublishProperties{}}
	if m.Form == formText {
		one := byte(1)
		p.Properties.PayloadFormat = &one
		p.Payload = []byte(m.Text)
	} else {
		p.Payload, _ = hex.DecodeString(m.Text)
	}
	for _, e := range m.Properties {
		_, text := e.Value.Split()
		p.Properties.User.Add(e.Name, text)
	}
	for name, value := range m.Headers {
		switch name {
		case "correlation id":
			p.Properties.CorrelationData = []byte(value)
		case "reply to":
			p.Properties.ResponseTopic = value
		case "expiry":
			hour := uint32(3600)
			p.Properties.MessageExpiry = &hour
		default:
			t.Fatalf("MQTT 5 can't say %s", name)
		}
	}
	if _, err := c.out.Publish(c.ctx, p); err != nil {
		t.Fatal(err)
	}
}

type mqtt5Inbox struct {
	client *paho.Client
	got    chan *paho.Publish
}

func (c *mqtt5Client) subscribe(t *testing.T, destination, durable string) inbox {
	t.Helper()
	in := &mqtt5Inbox{got: make(chan *paho.Publish, 100)}
	in.client = c.connect(t, c.id+durable+"-in", durable == "", in.got)
	c.subs = append(c.subs, in)
	_, err := in.client.Subscribe(c.ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: mqttTopic(t, destination), QoS: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func (i *mqtt5Inbox) leave(t *testing.T) {
	t.Helper()
	if err := i.client.Disconnect(&paho.Disconnect{}); err != nil {
		t.Fatal(err)
	}
}

func (i *mqtt5Inbox) receive(t *testing.T) Content {
	t.Helper()
	var m *paho.Publish
	select {
	case m = <-i.got:
	case <-time.After(patience):
		t.Fatal("nothing was received")
	}
	p := m.Properties
	c := Content{Form: formPayload, Text: hex.EncodeToString(m.Payload), Durable: m.QoS > 0}
	switch {
	case p.ContentType == "application/json":
		c.Form, c.Text = formJSON, string(m.Payload)
	case p.ContentType == "application/x-java-serialized-object":
		c.Form = formJava
	case p.PayloadFormat != nil && *p.PayloadFormat == 1:
		c.Form, c.Text = formText, string(m.Payload)
	}
	for _, u := range p.User {
		switch u.Key {
		case "JMSType":
			c.put("type", u.Value)
		case "JMSXGroupID":
			c.put("group", u.Value)
		default:
			c.Properties = append(c.Properties, Entry{u.Key, Value("string:" + u.Value)})
		}
	}
	if len(p.CorrelationData) > 0 {
		c.put("correlation id", string(p.CorrelationData))
	}
	if p.ResponseTopic != "" {
		c.put("reply to", p.ResponseTopic)
	}
	if p.MessageExpiry != nil {
		c.put("expiry", expiryWord(time.Duration(*p.MessageExpiry)*time.Second))
	}
	return c
}

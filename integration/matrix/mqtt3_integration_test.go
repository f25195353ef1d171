//go:build integration

package matrix

import (
	"context"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// mqtt3Client has a connection for publishing and one for each subscription.
type mqtt3Client struct {
	address, id string
	out         mqtt.Client
	subs        []*mqtt3Inbox
}

func openMQTT3(_ context.Context, t *testing.T, b *harness.Broker, id string) adapter {
	t.Helper()
	c := &mqtt3Client{address: "tcp://" + b.Addr("mqtt"), id: id}
	c.out = c.connect(t, id+"-out", true, nil)
	return c
}

func (c *mqtt3Client) connect(t *testing.T, id string, clean bool, got chan mqtt.Message) mqtt.Client {
	t.Helper()
	o := mqtt.NewClientOptions().AddBroker(c.address).SetClientID(id).SetCleanSession(clean).SetAutoReconnect(false).SetProtocolVersion(4)
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { got <- m })
	client := mqtt.NewClient(o)
	mqttDone(t, client.Connect())
	return client
}

func mqttDone(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("the broker does not answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

func (c *mqtt3Client) close() {
	c.out.Disconnect(0)
	for _, s := range c.subs {
		s.client.Disconnect(0)
	}
}

var mqttNames = strings.NewReplacer(".", "/", "/", ".")

// mqttTopic writes a topic of ours as MQTT does. There are no queues.
func mqttTopic(t *testing.T, destination string) string {
	t.Helper()
	name, ok := strings.CutPrefix(destination, "topic://")
	if !ok {
		t.Fatalf("MQTT knows no %s", destination)
	}
	return mqttNames.Replace(name)
}

func mqttQoS(durable bool) byte {
	if durable {
		return 1
	}
	return 0
}

func (c *mqtt3Client) publish(t *testing.T, destination string, m Content) {
	t.Helper()
	payload, _ := hex.DecodeString(m.Text)
	mqttDone(t, c.out.Publish(mqttTopic(t, destination), mqttQoS(m.Durable), false, payload))
}

type mqtt3Inbox struct {
	client mqtt.Client
	got    chan mqtt.Message
}

func (c *mqtt3Client) subscribe(t *testing.T, destination, durable string) inbox {
	t.Helper()
	in := &mqtt3Inbox{got: make(chan mqtt.Message, 100)}
	in.client = c.connect(t, c.id+durable+"-in", durable == "", in.got)
	c.subs = append(c.subs, in)
	mqttDone(t, in.client.Subscribe(mqttTopic(t, destination), 1, nil))
	return in
}

func (i *mqtt3Inbox) leave(*testing.T) { i.client.Disconnect(250) }

func (i *mqtt3Inbox) receive(t *testing.T) Content {
	t.Helper()
	select {
	case m := <-i.got:
		return Content{Form: formPayload, Text: hex.EncodeToString(m.Payload()), Durable: m.Qos() > 0}
	case <-time.After(patience):
		t.Fatal("nothing was received")
	}
	return Content{}
}

//go:build integration

package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// features runs a client and fails for each feature that did; want is how
// many lines there have to be.
func features(t *testing.T, want int, dir, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	ok := 0
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "ok ") {
			ok++
		} else {
			t.Error(line)
		}
	}
	if ok != want {
		t.Errorf("%d features passed, want %d", ok, want)
	}
	if t.Failed() {
		t.Log(complaints.String())
	}
}

func hostPort(t *testing.T, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func TestPythonPaho(t *testing.T) {
	python, err := harness.Python(t.Context(), filepath.Join("py", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBroker(t, t.TempDir())
	for transport, scheme := range map[string]string{"tcp": "mqtt", "websockets": "ws"} {
		t.Run(transport, func(t *testing.T) {
			host, port := hostPort(t, b.Addr(scheme))
			features(t, 22, ".", python, filepath.Join("py", "features.py"), host, port, transport)
		})
	}
}

func TestMQTTJS(t *testing.T) {
	dir := t.TempDir()
	node, err := harness.Node(t.Context(), "js", dir)
	if err != nil {
		t.Fatal(err)
	}
	const all = 17
	b := startBroker(t, t.TempDir())
	ws := "ws://" + b.Addr("ws") + "/"
	t.Run("Node over TCP", func(t *testing.T) { features(t, all, dir, node, "node.mjs", "mqtt://"+b.Addr("mqtt")) })
	t.Run("Node over WebSocket", func(t *testing.T) { features(t, all, dir, node, "node.mjs", ws) })
	t.Run("Chromium over WebSocket", func(t *testing.T) {
		chromium, err := harness.Tool(t.Context(), "chromium", "chromium")
		if err != nil {
			t.Fatal(err)
		}
		features(t, all, dir, node, "browser.mjs", chromium, ws)
	})
}

func TestMosquittoClients(t *testing.T) {
	pub, err := harness.Tool(t.Context(), "mosquitto_pub", "mosquitto-clients")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := harness.Tool(t.Context(), "mosquitto_sub", "mosquitto-clients")
	if err != nil {
		t.Fatal(err)
	}
	host, port := hostPort(t, startBroker(t, t.TempDir()).Addr("mqtt"))
	for _, v := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		topic := "tools/" + v
		run := func(name string, args ...string) string {
			cmd := exec.CommandContext(t.Context(), name, append([]string{"-h", host, "-p", port, "-V", v, "-t", topic}, args...)...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s %v: %v: %s", name, args, err, out)
			}
			return string(out)
		}
		session := []string{"-i", "s-" + v, "-c", "-q", "2"}
		if v == "mqttv5" {
			session = append(session, "-x", "100")
		}
		run(sub, append(session, "-E")...) // subscribes, and leaves its session
		for _, qos := range []int{1, 2} {  // QoS 0 may still find the session connected
			run(pub, "-q", fmt.Sprint(qos), "-m", fmt.Sprintf("m%d", qos))
		}
		if out := run(sub, append(session, "-C", "2", "-W", "10")...); out != "m1\nm2\n" {
			t.Errorf("%s: the session had %q", v, out)
		}
		run(pub, "-r", "-q", "1", "-m", "kept")
		if out := run(sub, "-C", "1", "-W", "10", "-F", "%r %p"); out != "1 kept\n" {
			t.Errorf("%s: retained is %q", v, out)
		}
	}
}

func TestPahoGolangOfMQTT3(t *testing.T) {
	b := startBroker(t, t.TempDir())
	got := make(chan paho3.Message, 100)
	open := func(id string, version uint) paho3.Client {
		o := paho3.NewClientOptions().AddBroker("tcp://" + b.Addr("mqtt")).SetClientID(id).SetProtocolVersion(version).SetCleanSession(false)
		o.SetDefaultPublishHandler(func(_ paho3.Client, m paho3.Message) { got <- m })
		c := paho3.NewClient(o)
		wait(t, c.Connect())
		return c
	}
	for _, version := range []uint{3, 4} {
		id := fmt.Sprintf("sub%d", version)
		s := open(id, version)
		wait(t, s.Subscribe("paho/#", 2, nil))
		s.Disconnect(100)
		p := open("pub", version)
		for _, qos := range []byte{1, 2} { // QoS 0 may still find the session connected
			wait(t, p.Publish(fmt.Sprintf("paho/%d", qos), qos, false, fmt.Sprint(qos)))
		}
		s = open(id, version)
		for _, want := range []string{"1", "2"} {
			if m := next(t, got); string(m.Payload()) != want || m.Topic() != "paho/"+want {
				t.Fatalf("got %s from %s, want %s", m.Payload(), m.Topic(), want)
			}
		}
		for i := range 100 {
			wait(t, p.Publish("paho/x", 2, false, fmt.Sprint(i)))
			if m := next(t, got); string(m.Payload()) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", m.Payload(), i)
			}
		}
		wait(t, s.Unsubscribe("paho/#"))
		s.Disconnect(100)
		p.Disconnect(100)
	}
}

func wait(t *testing.T, token paho3.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("no answer: %v", token.Error())
	}
}

func next[T any](t *testing.T, c chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	return v
}

func TestPahoGolangOfMQTT5(t *testing.T) {
	b := startBroker(t, t.TempDir())
	u, err := url.Parse("mqtt://" + b.Addr("mqtt"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *paho.Publish, 100)
	open := func(id string) *autopaho.ConnectionManager {
		c, err := autopaho.NewConnection(t.Context(), autopaho.ClientConfig{
			ServerUrls: []*url.URL{u}, KeepAlive: 20, SessionExpiryInterval: 60,
			ClientConfig: paho.ClientConfig{
				ClientID: id,
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
	s, p := open("s5"), open("p5")
	id := 9
	_, err = s.Subscribe(t.Context(), &paho.Subscribe{
		Subscriptions: []paho.SubscribeOptions{{Topic: "five/#", QoS: 2}},
		Properties:    &paho.SubscribeProperties{SubscriptionIdentifier: &id},
	})
	if err != nil {
		t.Fatal(err)
	}
	for qos := range byte(3) {
		_, err := p.Publish(t.Context(), &paho.Publish{
			Topic: "five/a", QoS: qos, Payload: []byte{qos},
			Properties: &paho.PublishProperties{
				ContentType: "x/y", CorrelationData: []byte("c"), ResponseTopic: "re/ply",
				User: paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := next(t, got)
		props := m.Properties
		if m.QoS != qos || !bytes.Equal(m.Payload, []byte{qos}) || props.ContentType != "x/y" || string(props.CorrelationData) != "c" ||
			props.ResponseTopic != "re/ply" || len(props.User) != 2 || props.User[1].Value != "2" || *props.SubscriptionIdentifier != 9 {
			t.Fatalf("got %+v", m)
		}
	}
	for _, c := range []*autopaho.ConnectionManager{s, p} {
		if err := c.Disconnect(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

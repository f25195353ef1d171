package stomp

import (
	"fmt"
	"strings"
	"testing"
)

func TestAdvisoriesAreJSON(t *testing.T) {
	r := newRig(t, nil)
	w, c := r.connect(v12), r.connect(v12, "client-id:me")
	w.do("SUBSCRIBE", "id:1", "destination:/topic/ActiveMQ.Advisory.Consumer.Queue.>")
	c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "selector:x = 1")
	f := w.read()
	if f.get("destination") != "/topic/ActiveMQ.Advisory.Consumer.Queue.a" || f.get("type") != "Advisory" || f.get("consumerCount") != "1" ||
		f.get("content-type") != "application/json" || !strings.HasPrefix(f.body, `{"ConsumerInfo":{"consumerId":"ID:`) ||
		!strings.Contains(f.body, `"clientId":"me","destination":"queue://a","selector":"x = 1"`) {
		t.Fatal(f)
	}
}

func TestAdvisoriesAreXMLWhereThatIsAskedFor(t *testing.T) {
	for _, name := range []string{"jms-advisory-xml", "jms-xml"} {
		r := newRig(t, nil)
		w, c := r.connect(v12), r.connect(v12, "client-id:me")
		w.do("SUBSCRIBE", "id:1", "destination:/topic/ActiveMQ.Advisory.Consumer.Queue.>", "transformation:"+name)
		c.do("SUBSCRIBE", "id:s", "destination:/queue/a", "selector:x < 1")
		f := w.read()
		if f.get("transformation") != "jms-advisory-xml" || !strings.HasPrefix(f.body, `<ConsumerInfo><consumerId>ID:`) ||
			!strings.Contains(f.body, `<clientId>me</clientId><destination>queue://a</destination><selector>x &lt; 1</selector>`) ||
			!strings.HasSuffix(f.body, "</ConsumerInfo>") {
			t.Fatal(f)
		}
	}
}

func TestStatisticsAreAnsweredToATemporaryQueue(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	c.do("SEND", "destination:/queue/a", "\n1")
	c.do("SUBSCRIBE", "id:1", "destination:/temp-queue/answers")
	c.do("SEND", "destination:/queue/ActiveMQ.Statistics.Destination.a", "reply-to:/temp-queue/answers", "correlation-id:7", "\n")
	f := c.read()
	if f.get("correlation-id") != "7" || !strings.Contains(f.body, `"destinationName":"queue://a","size":1,`) {
		t.Fatal(f)
	}
}

func TestTheFirstSendToADestinationIsToldOnce(t *testing.T) {
	r := newRig(t, nil)
	w, c := r.connect(v12), r.connect(v12, "client-id:me")
	w.do("SUBSCRIBE", "id:1", "destination:/topic/ActiveMQ.Advisory.Producer.Queue.>")
	for _, d := range []string{"a", "a", "b", "a"} {
		c.do("SEND", "destination:/queue/"+d, "\n1")
	}
	c.do("SEND", "destination:/queue/a,/queue/b", "\n1")
	c.do("DISCONNECT")
	for _, want := range []string{"a 1", "b 1"} {
		f := w.read()
		if got := strings.TrimPrefix(f.get("destination"), "/topic/ActiveMQ.Advisory.Producer.Queue.") + " " + f.get("producerCount"); got != want ||
			!strings.HasPrefix(f.body, `{"ProducerInfo":`) {
			t.Fatalf("%v, want %s", f, want)
		}
	}
	gone := map[string]bool{}
	for range 2 {
		f := w.read()
		gone[f.get("destination")+" "+f.get("producerCount")] = true
	}
	if !gone["/topic/ActiveMQ.Advisory.Producer.Queue.a 0"] || !gone["/topic/ActiveMQ.Advisory.Producer.Queue.b 0"] {
		t.Errorf("told of the end: %v", gone)
	}
}

func TestProducersOfAConnectionAreBounded(t *testing.T) {
	r := newRig(t, nil)
	c := r.connect(v12)
	for i := range maxProducers + 10 {
		c.do("SEND", fmt.Sprint("destination:/queue/q", i), "\n1")
	}
	c.do("SUBSCRIBE", "id:1", "destination:/temp-queue/answers")
	c.do("SEND", "destination:/queue/ActiveMQ.Statistics.Broker", "reply-to:/temp-queue/answers", "\n")
	if f := c.read(); !strings.Contains(f.body, fmt.Sprintf(`"producerCount":%d`, maxProducers)) {
		t.Error(f)
	}
}

package stomp

import (
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

package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/message"
)

func TestRestOfActiveMQSendsAndReceives(t *testing.T) {
	r := newRig(t)
	a := r.want(200, "Message sent", "POST", "/api/message/orders/new?type=queue&JMSPriority=7&JMSCorrelationID=c&colour=red", "hello")
	if a.header.Get("messageID") == "" {
		t.Error("no messageID")
	}
	form := func(q *http.Request) { q.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	r.want(200, "Message sent", "POST", "/api/message?destination=queue://orders.new", "body=a%20form&colour=blue", form)
	r.want(200, "Message sent", "POST", "/api/message/orders.new?type=queue", "curl says form", form)
	got := r.want(200, "hello", "GET", "/api/message/orders.new?type=queue&oneShot=true&readTimeout=5000", "")
	for name, want := range map[string]string{"destination": "queue://orders.new", "colour": "red", "JMSCorrelationID": "c", "Content-Type": "text/plain; charset=utf-8"} {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q", name, got.header.Get(name))
		}
	}
	r.want(200, "curl says form", "GET", "/api/message/orders.new?type=queue", "", func(q *http.Request) { q.Header.Set("selector", "colour IS NULL") })
	r.want(200, "a form", "DELETE", "/api/message/orders.new?type=queue&clientId=x", "")
	r.want(204, "", "GET", "/api/message/orders.new?type=queue&readTimeout=1", "")
	if q, err := r.Queue("orders.new"); err != nil || q.Messages != 0 || q.Dequeued != 3 {
		t.Errorf("%+v %v", q, err)
	}
}

func TestRestOfActiveMQRefusesWhatMakesNoSense(t *testing.T) {
	r := newRig(t)
	r.send("a", "1")
	r.want(400, "destination", "POST", "/api/message?type=queue", "x")
	r.want(400, "neither queue nor topic", "POST", "/api/message/a?type=exchange", "x")
	r.want(400, "names no queue", "GET", "/api/message/a.*?type=queue", "")
	r.want(400, "JMSPriority", "POST", "/api/message/a?type=queue&JMSPriority=11", "x")
	r.want(400, "JMSDeliveryMode", "POST", "/api/message/a?type=queue&JMSDeliveryMode=often", "x")
	r.want(400, "readTimeout", "GET", "/api/message/a?type=queue&readTimeout=60001", "")
	r.want(413, "longer than", "POST", "/api/message/a?type=queue", strings.Repeat("x", restBody+1))
	// An image on a stranger's page must not consume messages.
	r.want(403, "another site", "GET", "/api/message/a?type=queue", "", func(q *http.Request) { q.Header.Set("Sec-Fetch-Site", "cross-site") })
	r.wantTexts("a", "1")
}

func TestPropertiesBecomeHeadersOnlyIfTheyAreHarmless(t *testing.T) {
	r := newRig(t)
	r.want(201, "", "POST", "/api/v1/queues/a/messages?create", `{"properties":[{"name":"Set-Cookie","value":"x"},{"name":"Content-Length","value":"9"},
		{"name":"Access-Control-Allow-Origin","value":"*"},{"name":"fine","value":"a\r\nb: c"},{"name":"b c","value":"d"}],"body":{"kind":"bytes","base64":"AP8="}}`)
	got := r.want(200, "\x00\xff", "GET", "/api/message/a?type=queue", "")
	if got.header.Get("Set-Cookie") != "" || got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("fine") != "a  b: c" ||
		got.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v", got.header)
	}
}

func TestJolokiaReadsWhatMonitoringAsksFor(t *testing.T) {
	r := newRig(t)
	r.send("orders", "1", "2")
	r.send("a%2Fb", "1")
	const bean = "org.apache.activemq:type=Broker,brokerName=test"
	value := func(path string) any {
		t.Helper()
		a := decode[jolokiaAnswer](t, r.want(200, `"status":200`, "GET", "/api/jolokia"+path, ""))
		return a.Value
	}
	for path, want := range map[string]any{
		"/read/" + bean + ",destinationType=Queue,destinationName=orders/QueueSize": 2.0,
		"/read/" + bean + ",destinationType=Queue,destinationName=a!/b/QueueSize":   1.0,
		"/read/" + bean + "/TotalMessageCount":                                      3.0,
		"/read/" + bean + ",service=Health/CurrentStatus":                           "Good",
		"/read/" + bean + "/BrokerVersion":                                          "1.2.3",
	} {
		if got := value(path); got != want {
			t.Errorf("%s is %v", path, got)
		}
	}
	all, _ := value("/read/" + bean + ",destinationType=Queue,destinationName=*/QueueSize,ConsumerCount").(map[string]any)
	if len(all) != 2 {
		t.Errorf("a pattern reads %v", all)
	}
	if names, _ := value("/search/org.apache.activemq:*").([]any); len(names) != 4 {
		t.Errorf("search finds %v", names)
	}
	value("")
	value("/version")
	value("/list")
	bulk := r.want(200, "", "POST", "/api/jolokia/", `[{"type":"read","mbean":"`+bean+`","attribute":"UptimeMillis"},{"type":"exec","mbean":"`+bean+`","operation":"stop"}]`)
	var answers []jolokiaAnswer
	if err := json.Unmarshal([]byte(bulk.body), &answers); err != nil || answers[0].Status != 200 || answers[1].Status != 403 {
		t.Errorf("%v %s", err, bulk.body)
	}
}

func TestJolokiaNeitherExecutesNorWrites(t *testing.T) {
	r := newRig(t)
	r.send("a", "1")
	const bean = "org.apache.activemq:type=Broker,brokerName=test"
	for path, status := range map[string]int{
		"/exec/" + bean + ",destinationType=Queue,destinationName=a/purge": 403,
		"/exec/" + bean + "/addNetworkConnector/static:(x)":                403,
		"/write/" + bean + "/MemoryLimit/1":                                403,
		"/notification/x":                                                  403,
		"/read/java.lang:type=Runtime":                                     404,
		"/read/nonsense":                                                   400,
		"/read/" + bean + ",destinationType=Queue,destinationName=b":       404,
		"/read/" + bean + "/SystemProperties":                              404,
	} {
		a := decode[jolokiaAnswer](t, r.want(200, "error", "GET", "/api/jolokia"+path, ""))
		if a.Status != status {
			t.Errorf("%s: %d %s", path, a.Status, a.Error)
		}
	}
	r.wantTexts("a", "1")
}

func TestPagesInXMLAreThoseOfActiveMQ(t *testing.T) {
	r := newRig(t)
	connectClient(t, r.Broker)
	r.send("a%3C%22", "1")
	r.want(200, `<queue name="a&lt;&#34;">`+"\n    "+`<stats size="1" consumerCount="0" enqueueCount="1" dequeueCount="0"></stats>`, "GET", "/admin/xml/queues.jsp", "")
	r.want(200, `<topic name="t.&gt;">`, "GET", "/admin/xml/topics.jsp", "")
	r.want(200, `<subscriber clientId="client" subscriptionName="d" connectionId="client" destinationName="u" selector="" active="yes">`, "GET", "/admin/xml/subscribers.jsp", "")
}

func TestDetailedMetricsAreBounded(t *testing.T) {
	r := newRig(t)
	r.send("orders.new", "1", "2")
	r.send("bills", "1")
	a := r.want(200, `entrepot_detailed_queue_messages{queue="orders.new"} 2`, "GET", "/metrics/detailed?family=queue&dest=orders.>", "")
	if strings.Contains(a.body, "bills") {
		t.Error("bills were not asked for")
	}
	r.want(200, "", "GET", "/metrics/detailed?family=queue&dest=none", "")
	r.want(400, "there is only queue", "GET", "/metrics/detailed", "")
	r.want(400, "which queues?", "GET", "/metrics/detailed?family=queue", "")
	for i := range maxDetailed {
		if _, err := r.CreateQueue("many." + message.ID{Lo: uint64(i)}.String()); err != nil {
			t.Fatal(err)
		}
	}
	r.want(400, "the limit is 1000", "GET", "/metrics/detailed?family=queue&dest=%3E", "")
}

package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// The reading half of Jolokia: what monitoring tools for ActiveMQ ask for.
// There is no exec and no write, on purpose, and no attribute beside those of
// the tables below.

// jolokiaRequest is one request of a POST, or of a path.
type jolokiaRequest struct {
	Type      string          `json:"type"`
	MBean     string          `json:"mbean,omitempty"`
	Attribute json.RawMessage `json:"attribute,omitempty"`
	Path      string          `json:"path,omitempty"`
	Config    map[string]any  `json:"config,omitempty"`
}

type jolokiaAnswer struct {
	Request   jolokiaRequest `json:"request"`
	Value     any            `json:"value,omitempty"`
	Timestamp int64          `json:"timestamp"`
	Status    int            `json:"status"`
	Error     string         `json:"error,omitempty"`
	ErrorType string         `json:"error_type,omitempty"`
}

const (
	jolokiaDomain   = "org.apache.activemq"
	maxJolokiaBulk  = 100    // requests of a POST
	maxJolokiaBeans = 10_000 // that a pattern selects
)

// jolokiaGet answers /api/jolokia/TYPE/...: parts of the path are separated
// by '/', which stands as "!/" in names.
func (c *call) jolokiaGet() error {
	parts := jolokiaSplit(strings.TrimPrefix(strings.TrimPrefix(c.r.URL.Path, "/api/jolokia"), "/"))
	r := jolokiaRequest{Type: "version"}
	if parts[0] != "" {
		r.Type = parts[0]
	}
	if len(parts) > 1 {
		r.MBean = parts[1]
	}
	if len(parts) > 2 {
		names, err := json.Marshal(strings.Split(parts[2], ","))
		if err != nil {
			return err
		}
		if !strings.Contains(parts[2], ",") {
			names = names[1 : len(names)-1] // one name is a string
		}
		r.Attribute = names
	}
	return c.json(http.StatusOK, c.jolokia(r))
}

func jolokiaSplit(path string) (parts []string) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '!' && i+1 < len(path):
			i++
			b.WriteByte(path[i])
		case path[i] == '/':
			parts = append(parts, b.String())
			b.Reset()
		default:
			b.WriteByte(path[i])
		}
	}
	return append(parts, b.String())
}

// jolokiaPost answers a request in JSON, or several.
func (c *call) jolokiaPost() error {
	var raw json.RawMessage
	if err := c.read(&raw); err != nil {
		return err
	}
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "[") {
		var all []jolokiaRequest
		if err := json.Unmarshal(raw, &all); err != nil || len(all) > maxJolokiaBulk {
			return invalid("the body is no list of at most %d requests: %v", maxJolokiaBulk, err)
		}
		out := make([]jolokiaAnswer, len(all))
		for i := range all {
			out[i] = c.jolokia(all[i])
		}
		return c.json(http.StatusOK, out)
	}
	var one jolokiaRequest
	if err := json.Unmarshal(raw, &one); err != nil {
		return invalid("the body is no request: %v", err)
	}
	return c.json(http.StatusOK, c.jolokia(one))
}

func (c *call) jolokia(r jolokiaRequest) jolokiaAnswer {
	a := jolokiaAnswer{Request: r, Timestamp: time.Now().Unix(), Status: http.StatusOK}
	refuse := func(status int, kind, text string) jolokiaAnswer {
		a.Status, a.ErrorType, a.Error = status, kind, kind+" : "+text
		return a
	}
	switch strings.ToLower(r.Type) {
	case "version":
		a.Value = map[string]any{
			"agent": "1.7.2", "protocol": "7.2", "config": map[string]any{},
			"info": map[string]any{"product": "entrepot", "vendor": "Entrepot", "version": c.o.Version},
		}
		return a
	case "read", "search", "list":
	default:
		return refuse(http.StatusForbidden, "java.lang.UnsupportedOperationException", "only read, search, list and version are offered")
	}
	if r.Type == "list" {
		r.MBean = jolokiaDomain + ":*"
	}
	pattern, ok := parseBean(r.MBean)
	if !ok {
		return refuse(http.StatusBadRequest, "javax.management.MalformedObjectNameException", r.MBean)
	}
	beans := c.beans(pattern)
	switch r.Type {
	case "search":
		names := []string{}
		for i := range beans {
			names = append(names, beans[i].name)
		}
		a.Value = names
		return a
	case "list":
		a.Value = listBeans(beans)
		return a
	}
	if len(beans) == 0 {
		return refuse(http.StatusNotFound, "javax.management.InstanceNotFoundException", r.MBean)
	}
	value, missing := readBeans(beans, r.Attribute, pattern.pattern)
	if missing != "" {
		return refuse(http.StatusNotFound, "javax.management.AttributeNotFoundException", "No such attribute: "+missing)
	}
	a.Value = value
	return a
}

// bean is something that has attributes.
type bean struct {
	name       string
	attributes map[string]any
}

// beanName is the name of a bean, or a pattern of names.
type beanName struct {
	keys    map[string]string
	pattern bool // some key has a wildcard, or there may be others
	open    bool // other keys may follow
}

func parseBean(s string) (beanName, bool) {
	n := beanName{keys: map[string]string{}}
	domain, rest, ok := strings.Cut(s, ":")
	if !ok || domain != jolokiaDomain && domain != "*" && domain != jolokiaDomain+"*" {
		return n, ok && domain != ""
	}
	for part := range strings.SplitSeq(rest, ",") {
		if part == "*" {
			n.open, n.pattern = true, true
			continue
		}
		k, v, ok := strings.Cut(part, "=")
		if !ok || k == "" {
			return n, false
		}
		v = strings.Trim(v, `"`)
		n.keys[k] = v
		n.pattern = n.pattern || strings.Contains(v, "*")
	}
	return n, true
}

// selects reports whether the name or pattern names a bean of those keys.
func (n *beanName) selects(keys map[string]string) bool {
	if len(n.keys) > len(keys) || !n.open && len(n.keys) != len(keys) {
		return false
	}
	for k, want := range n.keys {
		if got, ok := keys[k]; !ok || want != got && !glob(want, got) {
			return false
		}
	}
	return true
}

// glob matches '*' in linear time for each.
func glob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 || !strings.HasPrefix(s, parts[0]) {
		return pattern == s
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		at := strings.Index(s, p)
		if at < 0 {
			return false
		}
		s = s[at+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}

// beans returns what a name or pattern selects. An exact name of a queue
// looks at that queue only.
func (c *call) beans(n beanName) []bean {
	base := jolokiaDomain + ":type=Broker,brokerName=" + c.b.Name()
	keys := func(more ...string) map[string]string {
		k := map[string]string{"type": "Broker", "brokerName": c.b.Name()}
		for i := 0; i < len(more); i += 2 {
			k[more[i]] = more[i+1]
		}
		return k
	}
	var out []bean
	if n.selects(keys()) {
		out = append(out, bean{base, c.brokerAttributes()})
	}
	if n.selects(keys("service", "Health")) {
		out = append(out, bean{base + ",service=Health", map[string]any{"CurrentStatus": c.health()}})
	}
	if name := n.keys["destinationName"]; !n.pattern && n.keys["destinationType"] == "Queue" && n.selects(keys("destinationType", "Queue", "destinationName", name)) {
		if q, err := c.b.Queue(name); err == nil {
			out = append(out, bean{base + ",destinationType=Queue,destinationName=" + name, queueAttributes(&q)})
		}
		return out
	}
	c.eachQueue(func(q *broker.QueueInfo) bool {
		if name := q.Destination.Name; n.selects(keys("destinationType", "Queue", "destinationName", name)) {
			out = append(out, bean{base + ",destinationType=Queue,destinationName=" + name, queueAttributes(q)})
		}
		return len(out) < maxJolokiaBeans
	})
	c.eachTopic(func(t *broker.TopicInfo) bool {
		if n.selects(keys("destinationType", "Topic", "destinationName", t.Name)) {
			out = append(out, bean{base + ",destinationType=Topic,destinationName=" + t.Name, topicAttributes(t)})
		}
		return len(out) < maxJolokiaBeans
	})
	return out
}

// eachQueue calls fn for every queue until it returns false.
func (c *call) eachQueue(fn func(*broker.QueueInfo) bool) {
	for l := (broker.List{Limit: broker.MaxPage}); ; l.Offset += broker.MaxPage {
		got, err := c.b.Queues(l, broker.AnyQueue)
		if err != nil || len(got.Items) == 0 {
			return
		}
		for i := range got.Items {
			if !fn(&got.Items[i]) {
				return
			}
		}
	}
}

func (c *call) eachTopic(fn func(*broker.TopicInfo) bool) {
	for l := (broker.List{Limit: broker.MaxPage}); ; l.Offset += broker.MaxPage {
		got, err := c.b.ListTopics(l)
		if err != nil || len(got.Items) == 0 {
			return
		}
		for i := range got.Items {
			if !fn(&got.Items[i]) {
				return
			}
		}
	}
}

func (c *call) health() string {
	if err := c.b.Failed(); err != nil {
		return "Store failed"
	}
	return "Good"
}

func percent(used, limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return used * 100 / limit
}

func (c *call) brokerAttributes() map[string]any {
	m := c.showBroker(c.b)
	return map[string]any{
		"BrokerName": m.Name, "BrokerId": m.Name, "BrokerVersion": m.Version, "Slave": false, "Persistent": true,
		"TotalMessageCount": m.Messages, "TotalEnqueueCount": m.Published, "TotalDequeueCount": m.Acknowledged,
		"TotalConsumerCount": m.Consumers, "TotalProducerCount": m.Connections, "CurrentConnectionsCount": m.Connections,
		"MemoryLimit": m.MemoryLimit, "MemoryPercentUsage": percent(m.MemoryUsed, m.MemoryLimit), "StorePercentUsage": 0,
		"TempPercentUsage": 0, "StoreLimit": 0, "TempLimit": 0, "TotalQueuesCount": m.Queues,
		"UptimeMillis": time.Since(c.o.StartedAt).Milliseconds(), "TransportConnectors": m.Listeners,
	}
}

func queueAttributes(q *broker.QueueInfo) map[string]any {
	return map[string]any{
		"Name": q.Destination.Name, "QueueSize": q.Messages, "EnqueueCount": q.Enqueued, "DequeueCount": q.Dequeued,
		"DispatchCount": q.Dispatched, "InFlightCount": q.InFlight, "ExpiredCount": q.Expired, "ForwardCount": 0,
		"ConsumerCount": q.Consumers, "ProducerCount": 0, "AverageEnqueueTime": 0, "MemoryPercentUsage": 0,
		"AverageMessageSize": 0, "DLQ": q.Destination == broker.DeadLetterQueue, "Paused": q.Paused,
	}
}

func topicAttributes(t *broker.TopicInfo) map[string]any {
	return map[string]any{"Name": t.Name, "ConsumerCount": t.Subscribers + t.Durable, "ProducerCount": 0, "MemoryPercentUsage": 0, "DLQ": false}
}

// readBeans returns the attributes that were asked for: of one bean, or of
// each that a pattern selects.
func readBeans(beans []bean, attribute json.RawMessage, pattern bool) (value any, missing string) {
	var one string
	var several []string
	if len(attribute) > 0 && json.Unmarshal(attribute, &one) != nil {
		if err := json.Unmarshal(attribute, &several); err != nil {
			return nil, string(attribute)
		}
	}
	read := func(b *bean) (any, string) {
		switch {
		case one != "":
			v, ok := b.attributes[one]
			if !ok {
				return nil, one
			}
			if pattern {
				return map[string]any{one: v}, ""
			}
			return v, ""
		case len(several) > 0:
			out := make(map[string]any, len(several))
			for _, name := range several {
				if v, ok := b.attributes[name]; ok {
					out[name] = v
				}
			}
			return out, ""
		}
		return b.attributes, ""
	}
	if !pattern {
		return read(&beans[0])
	}
	out := make(map[string]any, len(beans))
	for i := range beans {
		if v, missing := read(&beans[i]); missing == "" {
			out[beans[i].name] = v
		}
	}
	return out, ""
}

func listBeans(beans []bean) any {
	out := make(map[string]any, len(beans))
	for i := range beans {
		attributes := make(map[string]any, len(beans[i].attributes))
		for name := range beans[i].attributes {
			attributes[name] = map[string]any{"rw": false}
		}
		out[strings.TrimPrefix(beans[i].name, jolokiaDomain+":")] = map[string]any{"attr": attributes}
	}
	return map[string]any{jolokiaDomain: out}
}

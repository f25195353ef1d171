package api

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/entrepot-mq/entrepot/core/broker"
)

// maxDetailed bounds the queues of one scrape of /metrics/detailed.
const maxDetailed = 1000

// queueFamilies are the metrics of each queue.
var queueFamilies = []struct {
	name, help string
	kind       prometheus.ValueType
	value      func(q *broker.QueueInfo) float64
}{
	{"messages", "Messages that wait.", prometheus.GaugeValue, func(q *broker.QueueInfo) float64 { return float64(q.Messages) }},
	{"messages_inflight", "Messages delivered and not settled yet.", prometheus.GaugeValue, func(q *broker.QueueInfo) float64 { return float64(q.InFlight) }},
	{"consumers", "Consumers.", prometheus.GaugeValue, func(q *broker.QueueInfo) float64 { return float64(q.Consumers) }},
	{"enqueued_total", "Messages that came.", prometheus.CounterValue, func(q *broker.QueueInfo) float64 { return float64(q.Enqueued) }},
	{"dequeued_total", "Messages that left.", prometheus.CounterValue, func(q *broker.QueueInfo) float64 { return float64(q.Dequeued) }},
	{"delivered_total", "Deliveries, redeliveries included.", prometheus.CounterValue, func(q *broker.QueueInfo) float64 { return float64(q.Dispatched) }},
	{"expired_total", "Messages whose time to live ended.", prometheus.CounterValue, func(q *broker.QueueInfo) float64 { return float64(q.Expired) }},
}

// queueCollector collects one scrape.
type queueCollector []broker.QueueInfo

// Describe implements prometheus.Collector.
func (c queueCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect implements prometheus.Collector.
func (c queueCollector) Collect(to chan<- prometheus.Metric) {
	for _, f := range queueFamilies {
		desc := prometheus.NewDesc("entrepot_detailed_queue_"+f.name, f.help, []string{"queue"}, nil)
		for i := range c {
			to <- prometheus.MustNewConstMetric(desc, f.kind, f.value(&c[i]), strings.ToValidUTF8(c[i].Destination.Name, "\uFFFD"))
		}
	}
}

// detailed serves metrics of single queues: of those that dest, a name or a
// pattern, selects. More than maxDetailed are refused rather than cut off: a
// queue that vanishes from a dashboard looks like one that is gone.
func (c *call) detailed() error {
	q, err := c.query("family", "dest")
	if err != nil {
		return err
	}
	if f := q.Get("family"); f != "queue" {
		return invalid("family=%q: there is only queue", f)
	}
	if q.Get("dest") == "" {
		return invalid("which queues? dest is a name or a pattern")
	}
	var all queueCollector
	for l := (broker.List{Limit: broker.MaxPage, Filter: q.Get("dest")}); ; l.Offset += broker.MaxPage {
		got, err := c.b.Queues(l, broker.AnyQueue)
		if err != nil {
			return err
		}
		if got.Total > maxDetailed {
			return invalid("dest selects %d queues, the limit is %d", got.Total, maxDetailed)
		}
		if all = append(all, got.Items...); len(got.Items) == 0 || len(all) >= got.Total {
			break
		}
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(all); err != nil && len(all) > 0 {
		return err
	}
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(c.w, c.r)
	return nil
}

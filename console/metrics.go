package console

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/entrepot-mq/entrepot/core/latency"
)

// prefix starts the name of every metric of the broker.
const prefix = "entrepot_"

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

// family is one metric: its samples are read from the broker's figures at the
// time of a scrape. Labels are protocols, listeners and reasons only, so that
// the number of series does not depend on clients.
type family struct {
	name, help string
	kind       prometheus.ValueType
	label      string // "" for a family of one sample
	samples    func(s *Stats, put func(value float64, label ...string))
}

// grouped is a sample of a node that has a group.
func grouped(value func(*Cluster) float64) func(*Stats, func(float64, ...string)) {
	return func(s *Stats, put func(float64, ...string)) {
		if s.Cluster != nil {
			put(value(s.Cluster))
		}
	}
}

// copied is a sample of a node of a group that replicates.
func copied(value func(*Copy) float64) func(*Stats, func(float64, ...string)) {
	return func(s *Stats, put func(float64, ...string)) {
		if s.Cluster != nil && s.Cluster.Copy != nil {
			put(value(s.Cluster.Copy))
		}
	}
}

// relayed has a sample of each listener of a node that has a group.
func relayed(s *Stats, put func(float64, ...string)) {
	if s.Cluster == nil {
		return
	}
	for _, l := range s.Listeners {
		put(float64(l.Relayed), l.Name)
	}
}

// members has a sample of each node of a group that replicates; the group's
// configuration bounds them.
func members(value func(*Member) *float64) func(*Stats, func(float64, ...string)) {
	return func(s *Stats, put func(float64, ...string)) {
		if s.Cluster == nil {
			return
		}
		for i := range s.Cluster.Members {
			if v := value(&s.Cluster.Members[i]); v != nil {
				put(*v, s.Cluster.Members[i].Node)
			}
		}
	}
}

// one is a family of one sample.
func one(name, help string, kind prometheus.ValueType, value func(s *Stats) float64) family {
	return family{name, help, kind, "", func(s *Stats, put func(float64, ...string)) { put(value(s)) }}
}

var families = []family{
	{"build_info", "Version of the broker, as a label.", gauge, "version", func(s *Stats, put func(float64, ...string)) { put(1, s.Version) }},
	one("is_master", "1 on the node that serves clients.", gauge, func(s *Stats) float64 { return truth(s.Role == "master") }),
	one("start_time_seconds", "When the broker started, in seconds since the epoch.", gauge, func(s *Stats) float64 { return float64(s.StartedAt.UnixMilli()) / 1000 }),
	one("config_reload_success", "0 if the last reload of the configuration failed and the old one is in force.", gauge, func(s *Stats) float64 { return truth(!s.ReloadFailed) }),

	{"cluster_epoch", "Epoch of the group's master.", gauge, "", grouped(func(c *Cluster) float64 { return float64(c.Epoch) })},
	{"cluster_failovers_total", "How often this node became the master after another one.", counter, "", grouped(func(c *Cluster) float64 { return float64(c.Failovers) })},
	{"cluster_lease_seconds", "What is left of the master's claim, on the master.", gauge, "", func(s *Stats, put func(float64, ...string)) {
		if s.Cluster != nil && s.Cluster.Lease != nil {
			put(*s.Cluster.Lease)
		}
	}},
	{"replica_in_sync", "1 for each node that counts for a majority, by what this node knows.", gauge, "node", members(func(m *Member) *float64 { return new(truth(m.InSync)) })},
	{"replica_lag_records", "Records of the log that a node lacks, on the master.", gauge, "node", members(func(m *Member) *float64 {
		if m.Lag == nil {
			return nil
		}
		return new(float64(*m.Lag))
	})},
	{"replica_lag_bytes", "The same in bytes of log, roughly.", gauge, "node", members(func(m *Member) *float64 {
		if m.Behind == nil {
			return nil
		}
		return new(float64(*m.Behind))
	})},
	{"replica_silent_seconds", "Time since a node was heard of, on the master.", gauge, "node", members(func(m *Member) *float64 { return m.Silent })},
	{"replica_quorum", "Nodes that must have a message before it is confirmed.", gauge, "", copied(func(c *Copy) float64 { return float64(c.Quorum) })},
	{"replica_unapplied_records", "Records of its log that this node has not applied.", gauge, "", copied(func(c *Copy) float64 { return float64(c.Unapplied) })},
	{"replica_rebuilds_total", "Stores of this node that were damaged or wrong, and replaced by another node's copy.", counter, "", copied(func(c *Copy) float64 { return float64(c.Rebuilds) })},
	{"connections_relayed", "Open connections that are passed through to the master.", gauge, "listener", relayed},

	{"connections", "Open connections.", gauge, "protocol", protocols(func(p *Protocol) float64 { return float64(p.Connections) })},
	{"connections_opened_total", "Connections accepted by the operating system, refused ones included.", counter, "listener", listeners(func(l *Listener) uint64 { return l.Opened })},
	{"connections_rejected_total", "Connections refused or ended before the client had authenticated.", counter, "reason", func(s *Stats, put func(float64, ...string)) {
		for _, c := range s.Rejected {
			put(float64(c.Total), c.Reason)
		}
	}},
	{"received_bytes_total", "Bytes read from clients.", counter, "listener", listeners(func(l *Listener) uint64 { return l.BytesIn })},
	{"sent_bytes_total", "Bytes written to clients.", counter, "listener", listeners(func(l *Listener) uint64 { return l.BytesOut })},
	one("blocked_producers", "Connections whose sends are held back.", gauge, func(s *Stats) float64 { return float64(s.BlockedProducers) }),

	{"messages_received_total", "Messages taken from clients.", counter, "protocol", protocols(func(p *Protocol) float64 { return float64(p.Received) })},
	{"messages_delivered_total", "Messages given to consumers, redeliveries included.", counter, "protocol", protocols(func(p *Protocol) float64 { return float64(p.Delivered) })},
	one("messages_acknowledged_total", "Deliveries that consumers accepted.", counter, func(s *Stats) float64 { return float64(s.Acknowledged) }),
	one("messages_expired_total", "Messages whose time to live ended before they were consumed.", counter, func(s *Stats) float64 { return float64(s.Expired) }),
	one("messages_dead_lettered_total", "Messages moved to a dead-letter queue.", counter, func(s *Stats) float64 { return float64(s.DeadLettered) }),
	one("messages_dropped_total", "Messages given up.", counter, func(s *Stats) float64 { return float64(s.Dropped) }),

	one("messages_rejected_total", "Deliveries that consumers rejected.", counter, func(s *Stats) float64 { return float64(s.Rejections) }),
	one("messages_duplicate_total", "Messages that a client sent again and the broker had already.", counter, func(s *Stats) float64 { return float64(s.Duplicates) }),
	one("operations_denied_total", "Operations that a user had no permission for.", counter, func(s *Stats) float64 { return float64(s.Denied) }),
	one("authentication_failures_total", "Connections whose user or proof was wrong.", counter, func(s *Stats) float64 { return float64(s.Strangers) }),
	one("consumers_aborted_total", "Consumers that were ended because they were too slow.", counter, func(s *Stats) float64 { return float64(s.Aborted) }),

	one("queues", "Queues.", gauge, func(s *Stats) float64 { return float64(s.Queues) }),
	one("durable_subscriptions", "Durable subscriptions to topics.", gauge, func(s *Stats) float64 { return float64(s.Subscriptions) }),
	one("queue_messages", "Messages that wait in all queues.", gauge, func(s *Stats) float64 { return float64(s.QueueMessages) }),
	one("queue_messages_inflight", "Messages delivered and not settled yet.", gauge, func(s *Stats) float64 { return float64(s.QueueInflight) }),
	one("queue_consumers", "Consumers of all queues.", gauge, func(s *Stats) float64 { return float64(s.QueueConsumers) }),

	one("memory_used_bytes", "Memory of waiting messages.", gauge, func(s *Stats) float64 { return float64(s.MemoryUsed) }),
	{"memory_limit_bytes", "Memory that waiting messages may take.", gauge, "", func(s *Stats, put func(float64, ...string)) {
		if s.MemoryLimit > 0 {
			put(float64(s.MemoryLimit))
		}
	}},
	{"store_size_bytes", "Disk space of the store.", gauge, "part", func(s *Stats, put func(float64, ...string)) {
		put(float64(s.LogSize), "log")
		put(float64(s.PagesSize), "pages")
	}},
	{"disk_free_bytes", "Free space on the store's disk.", gauge, "", func(s *Stats, put func(float64, ...string)) {
		if s.DiskFree >= 0 {
			put(float64(s.DiskFree))
		}
	}},
	one("store_syncs_total", "Syncs of the log.", counter, func(s *Stats) float64 { return float64(s.StoreSyncs) }),
	one("store_last_sync_seconds", "Time that the last sync of the log took.", gauge, func(s *Stats) float64 { return s.StoreLastSync.Seconds() }),
	one("store_records_total", "Changes written to the log.", counter, func(s *Stats) float64 { return float64(s.StoreRecords) }),
	one("store_written_bytes_total", "Bytes written to the log.", counter, func(s *Stats) float64 { return float64(s.StoreBytes) }),
	one("store_waiting_bytes", "Bytes that wait to be written to the log.", gauge, func(s *Stats) float64 { return float64(s.StoreWaiting) }),
	one("store_checkpoints_total", "Checkpoints written.", counter, func(s *Stats) float64 { return float64(s.Checkpoints) }),
	one("store_last_checkpoint_seconds", "Time that the last checkpoint took.", gauge, func(s *Stats) float64 { return s.LastCheckpoint.Seconds() }),
}

func protocols(value func(*Protocol) float64) func(*Stats, func(float64, ...string)) {
	return func(s *Stats, put func(float64, ...string)) {
		for i := range s.Protocols {
			put(value(&s.Protocols[i]), s.Protocols[i].Name)
		}
	}
}

func listeners(value func(*Listener) uint64) func(*Stats, func(float64, ...string)) {
	return func(s *Stats, put func(float64, ...string)) {
		for i := range s.Listeners {
			put(float64(value(&s.Listeners[i])), s.Listeners[i].Name)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// distribution is a histogram that the broker keeps.
type distribution struct {
	name, help string
	counted    func(s *Stats) *latency.Snapshot
}

var distributions = []distribution{
	{"store_sync_duration_seconds", "Time that a sync of the log took.", func(s *Stats) *latency.Snapshot { return &s.Syncing }},
	{
		"confirm_duration_seconds", "Time until what a client waits for is safe, in a group at a majority: the longest of each batch.",
		func(s *Stats) *latency.Snapshot { return &s.Confirming },
	},
	{
		"delivery_latency_seconds", "Time from a message's timestamp, which clients may set, to its first delivery: of each consumer's deliveries one in 16.",
		func(s *Stats) *latency.Snapshot { return &s.Delivering },
	},
}

// metric makes what Prometheus knows of it.
func (d *distribution) metric(desc *prometheus.Desc, s *Stats) prometheus.Metric {
	counted := d.counted(s)
	buckets := make(map[float64]uint64, len(latency.Bounds))
	var below uint64
	for i, bound := range latency.Bounds {
		below += counted.Counts[i]
		buckets[bound.Seconds()] = below
	}
	return prometheus.MustNewConstHistogram(desc, counted.Total(), counted.Sum.Seconds(), buckets)
}

// collector reads the broker's figures once a scrape.
type collector struct {
	source Source
	descs  []*prometheus.Desc // of families
	shapes []*prometheus.Desc // of distributions
}

func newCollector(source Source) *collector {
	c := &collector{source: source}
	for i := range families {
		var labels []string
		if families[i].label != "" {
			labels = []string{families[i].label}
		}
		c.descs = append(c.descs, prometheus.NewDesc(prefix+families[i].name, families[i].help, labels, nil))
	}
	for i := range distributions {
		c.shapes = append(c.shapes, prometheus.NewDesc(prefix+distributions[i].name, distributions[i].help, nil, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range append(slices.Clone(c.descs), c.shapes...) {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	for i := range families {
		families[i].samples(&s, func(value float64, label ...string) {
			for j := range label {
				label[j] = strings.ToValidUTF8(label[j], "\uFFFD")
			}
			to <- prometheus.MustNewConstMetric(c.descs[i], families[i].kind, value, label...)
		})
	}
	for i := range distributions {
		to <- distributions[i].metric(c.shapes[i], &s)
	}
}

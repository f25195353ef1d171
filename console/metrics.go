package console

// prefix starts the name of every metric of the broker.
const prefix = "entrepot_"

const (
	counter = "counter"
	gauge   = "gauge"
)

// writeMetrics writes the broker's metrics. Labels are protocols, listeners
// and reasons only, so that the number of series does not depend on clients.
func writeMetrics(e *exposition, s *Stats) {
	e.family(prefix+"build_info", gauge, "Version of the broker, as a label.")
	e.sample(prefix+"build_info", 1, "version", s.Version)
	e.single(prefix+"is_master", gauge, "1 on the node that serves clients.", truth(s.Role == "master"))
	e.single(prefix+"start_time_seconds", gauge, "When the broker started, in seconds since the epoch.", float64(s.StartedAt.UnixMilli())/1000)
	e.single(prefix+"config_reload_success", gauge, "0 if the last reload of the configuration failed and the old one is in force.", truth(!s.ReloadFailed))
	writeConnections(e, s)
	writeMessages(e, s)
	writeQueues(e, s)
	writeStore(e, s)
}

func writeConnections(e *exposition, s *Stats) {
	e.family(prefix+"connections", gauge, "Open connections.")
	for _, p := range s.Protocols {
		e.sample(prefix+"connections", float64(p.Connections), "protocol", p.Name)
	}
	e.family(prefix+"connections_opened_total", counter, "Connections accepted by the operating system, refused ones included.")
	for _, l := range s.Listeners {
		e.sample(prefix+"connections_opened_total", float64(l.Opened), "listener", l.Name)
	}
	e.counts("connections_rejected_total", "Connections refused or ended before the client had authenticated.", s.Rejected)
	e.family(prefix+"received_bytes_total", counter, "Bytes read from clients.")
	for _, l := range s.Listeners {
		e.sample(prefix+"received_bytes_total", float64(l.BytesIn), "listener", l.Name)
	}
	e.family(prefix+"sent_bytes_total", counter, "Bytes written to clients.")
	for _, l := range s.Listeners {
		e.sample(prefix+"sent_bytes_total", float64(l.BytesOut), "listener", l.Name)
	}
	e.single(prefix+"blocked_producers", gauge, "Connections whose sends are held back.", float64(s.BlockedProducers))
}

func writeMessages(e *exposition, s *Stats) {
	e.family(prefix+"messages_received_total", counter, "Messages taken from clients.")
	for _, p := range s.Protocols {
		e.sample(prefix+"messages_received_total", float64(p.Received), "protocol", p.Name)
	}
	e.family(prefix+"messages_delivered_total", counter, "Messages given to consumers, redeliveries included.")
	for _, p := range s.Protocols {
		e.sample(prefix+"messages_delivered_total", float64(p.Delivered), "protocol", p.Name)
	}
	e.single(prefix+"messages_acknowledged_total", counter, "Deliveries that consumers accepted.", float64(s.Acknowledged))
	e.single(prefix+"messages_expired_total", counter, "Messages whose time to live ended before they were consumed.", float64(s.Expired))
	e.single(prefix+"messages_dead_lettered_total", counter, "Messages moved to a dead-letter queue.", float64(s.DeadLettered))
	e.single(prefix+"messages_dropped_total", counter, "Messages given up.", float64(s.Dropped))
}

func writeQueues(e *exposition, s *Stats) {
	e.single(prefix+"queues", gauge, "Queues.", float64(s.Queues))
	e.single(prefix+"durable_subscriptions", gauge, "Durable subscriptions to topics.", float64(s.Subscriptions))
	e.single(prefix+"queue_messages", gauge, "Messages that wait in all queues.", float64(s.QueueMessages))
	e.single(prefix+"queue_messages_inflight", gauge, "Messages delivered and not settled yet.", float64(s.QueueInflight))
	e.single(prefix+"queue_consumers", gauge, "Consumers of all queues.", float64(s.QueueConsumers))
}

func writeStore(e *exposition, s *Stats) {
	e.single(prefix+"memory_used_bytes", gauge, "Memory of waiting messages.", float64(s.MemoryUsed))
	if s.MemoryLimit > 0 {
		e.single(prefix+"memory_limit_bytes", gauge, "Memory that waiting messages may take.", float64(s.MemoryLimit))
	}
	e.family(prefix+"store_size_bytes", gauge, "Disk space of the store.")
	e.sample(prefix+"store_size_bytes", float64(s.LogSize), "part", "log")
	e.sample(prefix+"store_size_bytes", float64(s.PagesSize), "part", "pages")
	if s.DiskFree >= 0 {
		e.single(prefix+"disk_free_bytes", gauge, "Free space on the store's disk.", float64(s.DiskFree))
	}
	e.single(prefix+"store_syncs_total", counter, "Syncs of the log.", float64(s.StoreSyncs))
	e.single(prefix+"store_last_sync_seconds", gauge, "Time that the last sync of the log took.", s.StoreLastSync.Seconds())
	e.single(prefix+"store_records_total", counter, "Changes written to the log.", float64(s.StoreRecords))
	e.single(prefix+"store_written_bytes_total", counter, "Bytes written to the log.", float64(s.StoreBytes))
	e.single(prefix+"store_waiting_bytes", gauge, "Bytes that wait to be written to the log.", float64(s.StoreWaiting))
	e.single(prefix+"store_checkpoints_total", counter, "Checkpoints written.", float64(s.Checkpoints))
	e.single(prefix+"store_last_checkpoint_seconds", gauge, "Time that the last checkpoint took.", s.LastCheckpoint.Seconds())
}

// counts writes totals by reason.
func (e *exposition) counts(name, help string, counts []Count) {
	e.family(prefix+name, counter, help)
	for _, c := range counts {
		e.sample(prefix+name, float64(c.Total), "reason", c.Reason)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

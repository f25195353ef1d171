package queue

// Waits implements Feeder.
func (q *Queue) Waits() bool { return q.Available() > 0 }

// Progress is how a consumer gets on.
type Progress struct {
	// Behind says that messages wait for the consumer, which has no credit.
	Behind bool
	// Kept says that a queue, its own or one that it shares, keeps what it
	// has not settled. Otherwise messages are lost while it is behind.
	Kept      bool
	Settled   uint64 // deliveries so far
	Unsettled int
}

// Progress returns how the consumer gets on. A browser is never behind.
func (c *Consumer) Progress() Progress {
	c.mu.Lock()
	p := Progress{Settled: c.last - uint64(c.unsettled), Unsettled: int(c.unsettled)}
	full := c.started && !c.closed && !c.browse && !c.ready() && c.unsettled > 0
	feeders := c.feeders // only ever replaced or appended to
	c.mu.Unlock()
	for _, f := range feeders {
		if _, ok := f.(*Queue); ok {
			p.Kept = true
		}
		p.Behind = p.Behind || full && f.Waits()
	}
	return p
}

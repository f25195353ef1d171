package queue

// SetPaused stops or restarts deliveries until the broker ends, or says
// otherwise. Deliveries that are unsettled can be settled meanwhile.
func (q *Queue) SetPaused(on bool) {
	q.mu.Lock()
	q.paused = on
	q.mu.Unlock()
	q.Dispatch()
}

// ApplyPaused is SetPaused by a record of the log: it is stored. What can go
// out then is left to Pump.
func (q *Queue) ApplyPaused(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused, q.stopped, q.changed = on, on, true
	q.starved = false
}

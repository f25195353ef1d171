package queue

// Available returns how many messages wait that no consumer has. It takes no
// lock.
func (q *Queue) Available() int { return int(q.free.Load()) }

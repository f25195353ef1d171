package policy

import "time"

// Existence says how destinations come and go.
type Existence struct {
	// NoAutoCreate has them made by administrators only, not by first use.
	NoAutoCreate bool
	// Collect removes queues that have had nothing to do for CollectAfter.
	Collect      bool
	CollectAfter time.Duration
}

// defaultExistence is ActiveMQ's.
var defaultExistence = Existence{CollectAfter: time.Minute}

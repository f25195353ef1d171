package console

import (
	"time"

	"github.com/entrepot-mq/entrepot/core/latency"
)

// Source is the running broker as the console sees it. Its methods are called
// from many goroutines.
type Source interface {
	// Stats returns counters and gauges of one moment.
	Stats() Stats
	// Checks returns every condition of being ready, in a fixed order.
	Checks() []Check
	// Started reports whether the broker has finished starting; it never
	// becomes false again.
	Started() bool
}

// Check is one condition of being ready.
type Check struct {
	Name string // "store"
	Err  error  // nil if it holds; the text is for operators
}

// Stats is what the broker has counted. Totals only grow.
type Stats struct {
	Name      string
	Version   string
	Role      string // "master"
	StartedAt time.Time

	Cluster *Cluster // nil without a group

	Listeners []Listener
	Protocols []Protocol
	Rejected  []Count // connections, by reason

	Acknowledged uint64
	Expired      uint64
	DeadLettered uint64
	Dropped      uint64
	Rejections   uint64 // deliveries that consumers rejected
	Duplicates   uint64 // sends that were made before
	Denied       uint64 // operations that a user had no permission for
	Strangers    uint64 // connections whose user or password was wrong
	Aborted      uint64 // consumers that were too slow

	Queues           int
	Subscriptions    int // durable ones
	QueueMessages    int
	QueueInflight    int
	QueueConsumers   int
	BlockedProducers int   // connections whose sends are held back
	MemoryUsed       int64 // bytes of waiting messages
	MemoryLimit      int64 // bytes; 0 for none
	LogSize          int64 // bytes on disk
	PagesSize        int64 // bytes on disk
	DiskFree         int64 // bytes; negative if it isn't known

	StoreSyncs     uint64
	StoreLastSync  time.Duration
	StoreRecords   uint64
	StoreBytes     uint64 // written to the log
	Checkpoints    uint64
	LastCheckpoint time.Duration // what it took
	StoreWaiting   int64         // bytes that wait for the log writer
	ReloadFailed   bool          // the last SIGHUP changed nothing

	Syncing    latency.Snapshot // the log, to disk
	Confirming latency.Snapshot // what producers wait for
	Delivering latency.Snapshot // from a message's timestamp to its delivery
}

// Cluster is what a node knows of its group.
type Cluster struct {
	Epoch     uint64   // of the master
	Failovers uint64   // to this node
	Lease     *float64 // seconds that are left of the master's claim, nil elsewhere
	Members   []Member // of a group that replicates
	Copy      *Copy    // of a group that replicates
}

// Member is a node of a group that replicates.
type Member struct {
	Node   string
	InSync bool
	Lag    *uint64  // records that it lacks, known on the master
	Silent *float64 // seconds since it was heard of, known on the master
	Behind *int64   // bytes of log that it lacks, known on the master
}

// Copy is a node's own copy in a group that replicates.
type Copy struct {
	Quorum    int    // nodes that must have a message
	Unapplied uint64 // records of its log
	Rebuilds  uint64 // stores that were set aside since the start
}

// Listener is an open port and what its connections did.
type Listener struct {
	Name        string // "stomp:61613"
	Address     string
	Connections int
	Relayed     int    // of them, passed through to the master
	Opened      uint64 // refused ones included
	BytesIn     uint64
	BytesOut    uint64
}

// Protocol is what the clients of one protocol did.
type Protocol struct {
	Name        string
	Connections int
	Received    uint64 // messages
	Delivered   uint64
}

// Count is a total for one reason out of a fixed set.
type Count struct {
	Reason string
	Total  uint64
}

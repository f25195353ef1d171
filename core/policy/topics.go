package policy

import "time"

// Unbounded is what Pending.Limit says for no limit of messages.
const Unbounded = -1

// Pending bounds what waits for a consumer of a topic, or of a shared
// subscription, beyond its credit.
type Pending struct {
	Limit int // messages
	// Multiplier makes the limit that part of the consumer's prefetch, if it
	// isn't 0.
	Multiplier float64
	Evict      Eviction
	Property   string // of EvictSame
}

// Eviction says which message is discarded when too many wait.
type Eviction uint8

// The ways, by ActiveMQ's names.
const (
	EvictOldest Eviction = iota // the oldest
	EvictLowest                 // the oldest of the lowest priority
	EvictSame                   // one with the same value of a property as a newer one
)

// Slow says when a consumer is too slow to go on.
type Slow struct {
	Abort SlowAbort
	// Connection ends the consumer's connection and not only itself.
	Connection bool
	Check      time.Duration // how often consumers are looked at
	// AbortSlow: as often, 0 or less for no limit, or as long as that a
	// consumer may be slow.
	Count    int
	Duration time.Duration
	// AbortSilent: time without an acknowledgement, with Idle also of those
	// that have nothing to acknowledge.
	Silence time.Duration
	Idle    bool
}

// SlowAbort says which consumers are ended.
type SlowAbort uint8

// The ways, by ActiveMQ's names.
const (
	AbortNone   SlowAbort = iota
	AbortSlow             // abortSlowConsumer: without credit while messages wait
	AbortSilent           // abortSlowAckConsumer: acknowledges nothing
)

// Recovery is what a topic keeps for consumers that ask for the past.
type Recovery struct {
	Keep     Keep
	Messages int           // of KeepCount
	Bytes    int           // of KeepSize
	Duration time.Duration // of KeepTime
	// Always makes every consumer ask.
	Always bool
}

// Keep says how much of the past is kept.
type Keep uint8

// The ways, by ActiveMQ's names.
const (
	KeepNothing Keep = iota
	KeepLast         // lastImage
	KeepCount        // fixedCount
	KeepSize         // fixedSized
	KeepTime         // timed
)

// defaultSlow and defaultRecovery are ActiveMQ's.
var (
	defaultSlow = Slow{
		Check: 30 * time.Second, Duration: 30 * time.Second, Silence: 30 * time.Second, Count: -1,
	}
	defaultRecovery = Recovery{Messages: 100, Bytes: 64 << 10, Duration: 2 * time.Minute}
)

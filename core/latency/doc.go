// Package latency counts how long things took, in buckets of fixed bounds.
//
// The store and the broker each own a few [Histogram]s; metrics read them by
// [Histogram.Snapshot]. An observation is two atomic additions and no
// allocation, and nobody holds a lock. What happens once a message is sampled
// by its owner, because reading the clock costs more than counting.
package latency

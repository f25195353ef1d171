package store

import "sync/atomic"

// Budget counts the memory that messages take, in bytes. It never refuses:
// producers are slowed and pages are let go when it is exceeded.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Add counts n more bytes, fewer if n is negative.
func (b *Budget) Add(n int) { b.used.Add(int64(n)) }

// Used and Limit are in bytes.
func (b *Budget) Used() int64 { return b.used.Load() }

// Limit returns the configured size in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Tight reports whether stored pages should leave memory: half is used.
func (b *Budget) Tight() bool { return b.used.Load() > b.limit/2 }

// Exceeded reports whether producers should wait.
func (b *Budget) Exceeded() bool { return b.used.Load() > b.limit }

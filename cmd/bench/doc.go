// Package bench is the load generator behind `entrepot bench`.
//
// It drives any broker by its address and owns nothing of Entrepot but the
// command line: raw codecs of its own, frames encoded before the run with
// only a few bytes patched per message, up to 64 messages per system call,
// one reading goroutine per connection that parses in place, and no
// allocation per message, so that the broker and not the generator is what is
// measured.
//
// Who calls it: cmd/entrepot adds [Command] to its root command. Nothing else
// may import it.
//
// What it promises: every message carries a [stamp] (run, producer, time,
// sequence), so each run ends in an account of what was published, confirmed
// and delivered, with missing, duplicated and out-of-order messages counted,
// and an error when any are missing. Rates are counted up to the last
// delivery, never up to the last send. Latency with a rate counts from the
// moment at which a message was due, so a stalled broker cannot hide the
// messages that it delayed (coordinated omission).
//
// Shape: command.go reads flags into [settings]; scenarios.go names presets of
// them; each run_*.go is one kind of run; load.go is the set of publishers and
// consumers that most of them share; protocol.go is what a wire protocol must
// offer, stomp*.go is the first that does; procfs.go reads CPU and memory of
// the broker and of the machine; result.go is what is printed.
//
// Goroutines: a publisher has one goroutine that writes and one that reads
// confirmations, a consumer has one that reads and acknowledges. Whoever
// starts them waits for them in [load.close]. There are no locks but the
// trackers' on their slow path; counters are atomics, each written by one
// goroutine.
package bench

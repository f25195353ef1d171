// Package queue is the one mechanism for everything that waits: queues,
// durable and shared subscriptions, sessions' backlogs.
//
// # Storage
//
// A queue has up to ten priorities, each with two lanes: one for durable
// messages, whose content is a deterministic function of the log, and one for
// transient ones, which only the node that serves clients has. A message's
// place in a lane is its seq, consecutive from 0; 64 seqs are a [page]. What
// is kept of a page that isn't in memory is a bitmap of its live messages and
// a few numbers, 72 bytes in all, so ten million waiting messages take some
// ten megabytes. Pages without live messages go, also those between others.
// A page that fills far behind all cursors is packed at once: one piece of
// memory, in the form in which it will be stored, instead of 64 messages.
// Bodies are in the page's window while they are needed. When memory is tight
// ([Queue.Relieve]) those go that can be read again: of durable messages from
// the page store as of the last checkpoint, of transient ones from the scratch
// area, where full pages are written first. [Queue.LoadPage] brings them back
// ahead of the cursors. [Queue.Sweep] ends what has expired and nobody asks
// for.
//
// # Delivery
//
// A [Consumer] has credit and a ring of unsettled deliveries; it may be
// attached to several queues. Consumers with the same filter share a cursor: the
// next seq to look at in each lane, and a heap of seqs behind it that came
// back. So nothing is scanned twice, and a consumer with a filter finds its
// message wherever it is. A filter's cursor that has seen all sleeps until a
// message that it selects comes: an [index] finds it by what it demands. A
// client that comes again with the same filter goes on where it was.
//
// # Locks
//
// Order: Queue.mu, then Consumer.mu, then whatever Target.Deliver takes (the
// connection's outbox). Broker.Pressed is called under Queue.mu. No I/O and no commit happens under any of them.
package queue

// Package matrix sends messages by one protocol and receives them by another,
// through the real broker and with clients that others wrote: each kind of
// body, each type of property and each header, persistent and not, by topics,
// queues and durable subscriptions.
//
// What is expected stands in tables: bodies, types and headers, which
// docs/conversions.md shows. A protocol is one adapter (publish, subscribe):
// with n of them there are n² cells and no code for any of them. What is
// particular to a pair of protocols has a file of its own.
package matrix

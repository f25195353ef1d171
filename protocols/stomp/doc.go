// Package stomp is the STOMP frontend: versions 1.0, 1.1 and 1.2 over TCP, TLS
// and WebSocket, with the destinations, headers and habits that clients
// written for ActiveMQ expect. README.md has the mapping table.
//
// The package owns the bytes of a connection and nothing else: every decision
// about messages is core/broker's. The listeners in package protocols call
// [Frontend.Serve] once for each connection.
//
// # Goroutines
//
// A connection has one goroutine, the reader, which runs Serve: it decodes
// frames in place in a pooled buffer and calls the broker. A second one, the
// writer, is started when something is queued in the outbox and ends when the
// outbox is empty. An idle connection therefore holds one goroutine and no
// buffer. While the broker asks for sends to be held, a third may live for a
// moment: the one that publishes what was held once the broker says go on.
//
// # Locks
//
// conn.turn serialises calls of the broker's session (the reader, and the
// goroutine that goes on with held sends). conn.mu guards what the reader, the
// writer and the broker's callbacks share: outbox, receipts, names of temporary
// destinations, unsettled deliveries of STOMP 1.0 and 1.1. turn comes before
// mu. The broker is never called with mu held; the callbacks (Deliver,
// Complete, Resume, Closed) take mu only, and never wait.
//
// # Promises
//
// A RECEIPT is queued when the broker has completed the operation, never
// earlier. Messages of an automatic subscription are settled when the write
// that carried them has returned. What a client can make the frontend hold is
// bounded, and every bound is a listener option.
package stomp

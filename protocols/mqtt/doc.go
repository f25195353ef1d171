// Package mqtt is the MQTT frontend: 3.1, 3.1.1 and 5.0 over TCP, TLS and
// WebSocket, on the same topics as every other protocol. README.md has the
// mapping table and the table of conformance.
//
// The package owns the bytes of a connection, packet identifiers and what a
// subscription's options mean for a delivery. Everything else is
// core/broker's: who gets a message, what waits for a client while it is away
// ([broker.Stored]), wills, and what is remembered. The listeners in package
// protocols call [Frontend.Serve] once for each connection.
//
// # Goroutines
//
// A connection has one goroutine, the reader, which runs Serve: it decodes
// packets in place in a pooled buffer and calls the broker. A second one, the
// writer, is started when something is queued in the outbox and ends when the
// outbox is empty. An idle connection therefore holds one goroutine and no
// buffer. While the broker asks for sends to be held, a third may live for a
// moment: the one that publishes what was held once the broker says go on.
//
// # Locks
//
// conn.turn serialises calls of the broker's session (the reader, and the
// goroutine that goes on with held sends). conn.mu guards what the reader, the
// writer and the broker's callbacks share: outbox, deliveries in flight,
// subscriptions. turn comes before mu. The broker is never called with mu held;
// the callbacks (Deliver, Complete, Resume, Closed) take mu only, and never
// wait.
//
// # Promises
//
// PUBACK and PUBREC are queued when the broker has completed the publish, never
// earlier. A session that outlives its connection loses nothing that was
// acknowledged to either side, and gets no message of QoS 2 twice, also when the
// broker is killed: a delivery's packet identifier follows from its place in the
// session's queue, so that it is the same when the message is sent again, and a
// PUBREC of either side is in the log before it is answered or sent. What a client
// can make the frontend hold is bounded.
package mqtt

// Package amqp is the AMQP 1.0 frontend over TCP, TLS and WebSocket, with the
// addresses, capabilities and annotations that clients written for ActiveMQ and
// Qpid JMS expect. README.md has the mapping table.
//
// The package owns the bytes of a connection, its sessions and links; every
// decision about messages is core/broker's. The listeners in package protocols
// call [Frontend.Serve] once for each connection.
//
// # Goroutines
//
// A connection has one goroutine, the reader, which runs Serve: it decodes
// frames in place in a pooled buffer and calls the broker. A second one, the
// writer, is started when something is queued in the outbox and ends when the
// outbox is empty. While the broker asks for sends to be held, a third may live
// for a moment: the one that publishes what was held once the broker says go on.
//
// # Locks
//
// conn.turn serialises calls of the broker's session and guards sessions and
// links as the reader sees them. conn.mu guards what the reader, the writer and
// the broker's callbacks share. turn comes before mu. The broker is never
// called with mu held; the callbacks (Deliver, Drained, Complete, Resume,
// Closed) take mu only, and never wait.
//
// # Promises
//
// A delivery is accepted when the broker has completed it, never earlier; an
// acknowledgement that was not settled by the client is settled when it is
// safe. The bare message of an AMQP publisher reaches AMQP consumers byte for
// byte. What a client can make the frontend hold is bounded, and every bound is
// a listener option.
package amqp

//go:generate go run ./gen

// Package client is the client's side of OpenWire: what network connectors,
// the command line and tests use to talk to a broker, Entrepot or ActiveMQ.
//
// A [Conn] is one connection. Its commands can be given as they are
// (Request, Start, Tell); sessions, producers, consumers and transactions stand
// on that. A connection that broke stays broken: who wants to go on dials
// again, at the next address (DialAny), and says again what there was.
//
// # Who runs what
//
// Each connection has two goroutines: a reader, which hands answers and
// deliveries over, and a writer. Functions given to Start and Options.OnCommand
// run on the reader: they must not block and not wait for an answer. All
// methods may be called from any goroutine.
//
// # What is bounded
//
// A frame that is longer than Options.MaxFrame ends the connection before
// memory is taken for it; so does a broker that delivers more than a consumer's
// prefetch lets it. Senders wait while more than a megabyte is unwritten.
package client

// Package replication makes a node of a group out of a broker's store: it carries out what replication/protocol decides.
//
// The assembly (cmd/entrepot) opens a broker whose store belongs to a group, and a [Replica] on it. The replica follows whoever
// leads, campaigns when nobody does, and says with Leading when this node is the master. When it is Done, for whatever reason,
// the broker is closed, and both are opened again unless Outcome says that this is pointless: a node that led begins anew as
// a follower, from its last checkpoint.
//
//	for {
//		hard, err := replication.Identify(...)   // who this node is, and whether it has forgotten something
//		b, err := broker.Open(...)               // Store.Group: a follower
//		r, err := replication.Open(...)
//		select {
//		case <-r.Leading(): b.Lead(), open the listeners
//		case <-r.Done():
//		}
//		<-r.Done(); b.StepDown(r.Outcome().Reason); r.Close(); b.Close(...)
//	}
//
// # Goroutines and order
//
// One goroutine, the loop, owns the protocol's Node, and the log while the node follows: it takes what connections, the log's
// writer, the configuration's store and the clock report, and carries out effects in order. It waits for nothing but the
// disk. Each peer has a sender, which dials, and writes what the loop queues; what doesn't fit, or is lost with a
// connection, the protocol sends again. Each connection that a peer opened has a receiver. Requests to the configuration's
// store run on goroutines of their own and report to the loop.
//
// # Who may connect
//
// Only nodes of the group: mutual TLS with what Options.TLS gives. Without it, nobody but this machine itself.
package replication

// Package etcd keeps a group's configuration in etcd: [election.Coordinator] on
// the client library, with own transactions and an own loop that keeps leases.
//
// The library's Election and Session are not used: Campaign of the former may
// succeed without a key, and the latter takes a lease for good longer than the
// server does.
//
// # Keys
//
// Below the prefix, with the broker's name as its last element:
//
//	cfg         the group's Configuration
//	lock        the Lock; bound to its holder's lease
//	nodes/NODE  the Hint of a node; bound to a lease of its process
//	floor/NODE  the Floor of a node
//
// Values are JSON. cfg and lock are written only in transactions guarded by the
// revisions of both.
//
// # Answers that don't come
//
// A write without an answer is looked for: the value that it would have
// stored is there, or it isn't yet. Only the former is an answer. The same
// write again finds its own work and succeeds.
package etcd

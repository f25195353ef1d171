// Package election is the contract between a group's nodes and the place that
// holds the group's configuration: who is master, in which epoch, and which
// nodes hold everything that was acknowledged.
//
// It has types and no procedure. Who may campaign, fencing, the barrier and the
// rules for changing the configuration are decided by replication/protocol; a
// [Coordinator] offers the guarded writes and the lease that the rules need.
// There are several: etcd, a file in a shared directory, one node alone, and the
// simulation's.
//
// # What safety rests on
//
// The configuration is written by two kinds of transaction only: the election
// ([Coordinator.Campaign]: no lock is held, and the configuration is the one the
// candidate read) and the master's own changes ([Coordinator.Change]: the lock
// is still the one it won, and the configuration the one it knows). A third,
// [Coordinator.Recover], is the operator's and may lose data. A Coordinator that
// lets any other write through, or answers a write as done that isn't, breaks the
// promise that nothing acknowledged is lost. Whatever it does with time can't: a lease
// that ends too early or too late costs availability, or a message delivered twice.
//
// # Time
//
// Deadlines are readings of [Now]: a clock that nobody sets and that counts the
// time in which the machine was suspended.
package election

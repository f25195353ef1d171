// Package protocol is the replication protocol as a state machine: who may lead,
// what a follower takes and cuts, what is committed, how the in-sync set changes.
//
// A [Node] has no goroutine, reads no clock, opens no connection and draws no random number that its seed doesn't
// determine. Whoever owns it tells it what happened (Tick, Receive, Written, Synced, Seen...) and carries out, in
// order, the [Effect]s that it asks for. Its log and its few durable values are handed in as ports and used
// at once; an error from one of them ends the node. So the same code runs in a broker (package replication) and in
// the simulation (replication/simtest), which drives it through faults by the million.
//
// # The rules
//
// An epoch has one master, because the configuration's store lets one candidate win it. A master is believed only by
// nodes that have promised no later epoch, and promises are durable. A frame is committed when it belongs to the
// master's own epoch, or lies before one that does, and Quorum members of the in-sync set have it. A candidate starts
// only after |InSync| - Quorum + 1 of that set have promised its epoch, none of them with a later (epoch, index)
// than its own: whatever was committed is in one of those logs, hence in its own. The first frame of an epoch, the
// barrier, commits what the master inherited. The in-sync set and the quorum change only while both the old
// and the new rule hold, and after the new one covers everything up to the commit index and the barrier. Who may
// have forgotten something has a new incarnation, and is another identity.
//
// Time decides nothing here but when to try.
package protocol

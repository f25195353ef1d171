// Package simtest drives a whole group of replication/protocol nodes, with the real log of core/store/log on
// disks that lose power, through faults that a seed determines: messages lost, delayed, doubled, overtaken; links cut in one
// direction or both; processes killed, machines that lose power with what was not synced, disks replaced, syncs that
// fail; nodes and whole machines that stand still; clocks of different speed; a configuration store that
// answers late, or not, or not that it did what it did; nodes that join, leave, and hand over.
//
// After every event an oracle that sees everything checks that an epoch has one leader; that promises are kept; that no two
// nodes commit different frames; that what is committed is on a quorum's disks; that each new leader, and each leader that
// was already elected when an older one's commit came late, has everything committed; that no log is cut
// below what was committed. At the end all faults cease, and the group must serve again, agree, and have
// every record that was confirmed.
//
// A run is a function of its [Options]: a seed that fails fails again.
package simtest

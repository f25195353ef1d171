// Package cluster runs groups of brokers as processes on this machine, breaks
// them under load, and checks what their clients saw with package faults.
//
// A [Group] is three nodes with the etcd inside them, or elsewhere. Faults are those of
// processes: the broker is killed while its guardian lives, guardian and broker
// are killed together (as when a machine dies), the broker is paused for longer
// than its lease, all nodes are killed at once. Clients connect to whichever node
// answers, standbys among them, and know nothing of failover but to connect again.
package cluster

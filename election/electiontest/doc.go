// Package electiontest checks that a Coordinator does what the contract in
// package election says. Tests of the implementations call Run; the
// simulation's fake passes the same checks as etcd.
package electiontest

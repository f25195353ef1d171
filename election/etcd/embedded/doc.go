// Package embedded runs an etcd member inside the broker's process, so that a
// group of three brokers needs no other server.
//
// The assembly (cmd) starts and closes a Server; package election/etcd uses
// its Client. A member keeps its data in a directory of its own. What is stored
// is small: a few keys that change at elections, so the quota is small too and
// old revisions are compacted away at once.
//
// Methods of a Server may be called from any goroutine.
package embedded

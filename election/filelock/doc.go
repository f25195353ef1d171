// Package filelock elects the master of brokers that share one directory: who
// holds the lock on a file in it. It is what ActiveMQ calls a shared file system
// master/slave; nothing is replicated, the directory's storage has to be safe
// by itself.
//
// The lock is one of open file descriptions (Linux) or of the file (elsewhere),
// which NFS 4 knows too. A lock alone isn't enough: a server may take it away
// from a client that it does not reach, and tell nobody. So the holder writes a
// beat through the locked file each period. NFS answers with an error if the lock
// was lost; a file that was replaced shows, too; and a beat that takes too long
// counts as lost. A successor on a network file system watches the beat for
// a while before it starts: one that goes on is a master's that is still there.
//
// Not to be used on NFS 3 (a dead client keeps its lock) and on cluster
// file systems without real locks (OCFS2).
//
// The assembly (cmd) calls Acquire. Methods may be called from any goroutine.
package filelock

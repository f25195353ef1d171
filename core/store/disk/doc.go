// Package disk is the port between the broker's store and the file system.
//
// It owns nothing but the narrow set of operations that a crash-safe store needs and that package os
// does not offer in one place: positional reads and writes, fdatasync, preallocation, the sync of a
// directory, free space, and the exclusive lock of a directory. core/store/log is built on it alone.
//
// There are two implementations:
//
//   - OS is the machine's file system. Linux has the fast paths (fdatasync, fallocate); other systems use
//     what the standard library offers and write zeros where they cannot reserve space.
//   - Fake lives in memory and forgets like a machine that loses power: each file has a page cache and a
//     platter, each directory has entries that were synced and entries that were not. Crash keeps an
//     arbitrary subset of what was never synced. Faults (EIO, ENOSPC, short writes, flipped bits, a
//     machine that halts after a given operation) are programmed by the test.
//
// # Promises
//
//   - What was written before Sync returned nil survives a crash, provided that the directory entry of
//     the file was made durable with SyncDir.
//   - What was not synced may survive in any combination of 512-byte sectors. A single sector is written
//     as a whole or not at all: the store's formats rest on this, and Fake never tears inside a sector.
//   - After a failed Sync the state of the unsynced bytes is unknown. Retrying can report success for
//     bytes that were lost (Linux marks the pages clean); callers must give the file up.
//
// All implementations are safe for concurrent use; writes to overlapping ranges of one file are not ordered.
package disk

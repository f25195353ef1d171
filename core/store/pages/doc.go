// Package pages is the part of the store that outlives the log: what is still waiting when a log
// segment has to go is written here, in checkpoints. It is the only package that imports Badger.
//
// The owner (core/store) writes a checkpoint as one Writer, reads single keys with Get and walks
// prefixes with Scan when it starts. Nothing here is on the path of an acknowledgement.
//
// # What it promises
//
// Readers see the last completed checkpoint and nothing else. Every transaction of a checkpoint
// commits at version Mark.Index (Badger's managed mode) and readers read at the version of the last
// completed one, so a checkpoint of any size is atomic. A crash in the middle leaves an intent: the
// owner replays its log to exactly Intent() and writes that checkpoint again, with the same keys and
// the same values; no other one can be begun before. (A key that the first attempt wrote and the
// second leaves out would appear. Checkpoints are a function of the log, so there is none.)
//
// Commit returns when the checkpoint is on disk (Badger syncs every transaction).
//
// Damage is an error (*DamageError), never other data. Badger alone does not promise that: it leaves
// out what it cannot read of a block, cuts a memory table's log at the first bad byte, deletes tables
// that a lost MANIFEST does not name, and ends the process on a short table. So Open inspects every
// file before Badger sees it (inspect.go), the CHECKPOINT file says which mark Badger must have, and
// every value carries a checksum of its key, version and bytes that each read verifies. What remains:
// a block whose structure, not whose values, goes bad on the disk after Open has read it may hide the
// keys in it until the next Open.
//
// # Files
//
// CHECKPOINT (checkpoint.go) holds the last completed mark and the intent; OWNER is what the owning
// process locks; all others are Badger's.
//
// CHECKPOINT, 60 bytes, big-endian, replaced by rename:
//
//	0  "EPCK"          4  format (1)        8  mark: index 8, epoch 8, chain 4, format 4
//	32 intent index    40 length of MANIFEST at that time   48 reserved (0)   56 CRC-32C of 0..55
//
// A value in Badger: CRC-32C (4 bytes, big-endian) of key, version (8 bytes, big-endian) and value,
// then the value. Keys that begin with 0x00 are this package's: 0x00 "mark" (24 bytes, as above) and
// 0x00 "use" (usage.go).
//
// # Locks
//
// slot (one of Writer or Maintain), then mu (the open Badger; exclusive only while it is closed and
// opened), then readers.mu or stateMu. No lock is held while a caller's function runs.
package pages

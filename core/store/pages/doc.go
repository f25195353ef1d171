// Package pages is the part of the store that outlives the log: what is still waiting when a log
// segment has to go is written here, in checkpoints. It is the only package that imports Badger.
//
// The owner (core/store) writes a checkpoint as one Writer, reads single keys with Get and walks
// prefixes with Scan when it starts. Nothing here is on the path of an acknowledgement.
//
// # What it promises
//
// Readers see the last completed checkpoint and nothing else. Every transaction of an attempt at a
// checkpoint commits at one version (Badger's managed mode), higher than any before, and readers read
// at the version of the last completed one, so a checkpoint of any size is atomic. A crash in the
// middle leaves an intent: the owner replays its log to exactly Intent() and writes that checkpoint
// again, with the same keys and the same values; no other one can be begun before. (A key that the
// first attempt wrote and the second leaves out would appear. Checkpoints are a function of the log,
// so there is none.)
//
// Commit returns when the checkpoint is on disk: values that stand apart are synced before the
// transaction that has the mark, and Badger syncs every transaction.
//
// # Values apart
//
// Badger writes what it holds several times as it merges tables, which for the bodies of a backlog
// costs more than all else that is done with them. So large values of the keys that Options.Apart
// names stand in value files, written once, and Badger has their places. A checkpoint appends to the
// last file. How much of each file is live stands in Badger too, changed by the same checkpoint as
// the places. A file without live values is given up when no reader of an older version is left; a
// queue that is consumed in order empties its files one after another. What is left alive in files
// that are mostly dead is moved together by Maintain. Value files are written, and large values are
// read, past the system's cache where that is possible (direct.go); otherwise with pread and pwrite, so
// that they never count as the process's memory.
//
// Damage is an error (*DamageError), never other data. Badger alone does not promise that: it leaves
// out what it cannot read of a block, cuts a memory table's log at the first bad byte, deletes tables
// that a lost MANIFEST does not name, and ends the process on a short table. So Open inspects every
// file before Badger sees it (inspect.go), the CHECKPOINT file says which mark Badger must have, and
// every value carries a checksum of its key, version and bytes that each read verifies. (Of value
// files, Open looks at the lengths only; Check reads them.) What remains:
// a block whose structure, not whose values, goes bad on the disk after Open has read it may hide the
// keys in it until the next Open.
//
// # Files
//
// CHECKPOINT (checkpoint.go) holds the last completed mark and the intent; OWNER is what the owning
// process locks; *.val are value files, named by their number in 16 hexadecimal digits, *.spare such
// files that nobody needs, to be written over; all others are Badger's.
//
// CHECKPOINT, 76 bytes, big-endian, replaced by rename:
//
//	0  "EPCK"          4  format (2)        8  mark: index 8, epoch 8, chain 4, format 4
//	32 intent index    40 length of MANIFEST at that time    48 highest version that may be in use
//	56 last value file of the mark, 0 for none    64 bytes used of it    72 CRC-32C of 0..71
//
// A value in Badger: CRC-32C (4 bytes, big-endian) of key, version (8 bytes, big-endian) and what
// follows; 0 and the value, or 1 and its place: number of the file 8, offset 4, length of the record 4.
// Keys that begin with 0x00 are this package's: 0x00 "mark" (24 bytes, as above), 0x00 "use" (usage.go),
// 0x00 "v" and a number (8 bytes): what is used of a value file, in bytes, and what of that is live, as
// uvarints.
//
// A value file holds records (value.go), one behind the other; what a checkpoint appends ends with zeros
// to the end of a block of 4096 bytes. The last file may go on with the
// remains of an attempt that was not completed; Open cuts them off.
//
// # Locks
//
// slot (one of Writer or Maintain), then mu (the open Badger; exclusive only while it is closed and
// opened), then readers.mu, valueFiles.mu or stateMu; window.reading, then windows.mu. No lock is held
// while a caller's function runs. mu, shared, and window.reading are held across reads.
package pages

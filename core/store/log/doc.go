// Package log is the write-ahead log that is the truth of the broker's store.
//
// It owns one directory of segment files. core/store appends records, commits them in batches with one
// fdatasync each, replays them at start and releases what a checkpoint has made superfluous. replication
// ships frames verbatim (ReadFrames), appends them on followers (AppendFrames) and cuts a diverged tail
// (TruncateAfter). Check and Dump read a directory without changing it.
//
// # Promises
//
//   - After Commit(true) returned nil, every record appended before it survives any crash, in order.
//     Open never invents, reorders or silently drops one of them.
//   - What was not synced is kept as far as an unbroken prefix of it reached the disk.
//   - A frame that cannot be read at or below the durable mark, a missing segment and a segment of another
//     log are a *DamageError. Nothing is cut then.
//   - An error from a write or a sync makes the log fail for good: every later call returns the same error.
//     A sync is never tried twice. Close the log and open it again to learn what is really on the disk.
//   - A full disk is found out while segments are prepared, before any record depends on the space. It is
//     ErrFull, not a failure: nothing is written, the log goes on as soon as there is space.
//
// # Indexes
//
// Each entry has an index; they are consecutive and start at 1 (or after Options.Start). A record that fits
// into a frame is one entry. A larger one is split into fragments, an entry each; the record's index is that of
// its last fragment, so the index of any record is a place where Replay can start and up to which Release may be
// told. A record whose last fragment did not survive a crash never existed; its fragments are passed over.
//
// # Threads
//
// One goroutine, the committer, calls Append, Buffered, Discard, Commit, AppendFrames, SetEpoch, TruncateAfter and
// Close. All other methods may be called from anywhere at any time. Locks, in order: Log.work (one piece of
// segment maintenance; held across I/O), Log.mu (memory only, never held across I/O). Append takes none, Commit only mu, unless Options.Inline makes it do maintenance.
// The log has one goroutine of its own, which prepares, seals and recycles segments (none with Options.Inline).
//
// # Files
//
// A segment is a file named by its identifier, 16 hexadecimal digits and ".seg". Identifiers are consecutive: the
// segments that hold frames come first, then empty ones that are prepared. So activating a segment needs no change
// of the directory, and a missing file shows as a gap. Identifiers are never used twice for different content:
// recycling gives a file a new one. "*.tmp" is a segment being made, "*.old" one on its way to be recycled or
// deleted; both are removed at Open. Other files are left alone. LOCK is held by the process that has the log open.
//
// All integers are little-endian. CRC is CRC-32 with the Castagnoli polynomial.
//
//	segment
//	     0  header, one sector of 512 bytes
//	   512  durable mark, slot 0, one sector
//	  1024  durable mark, slot 1, one sector
//	  4096  frames, one after the other
//
//	header                                       durable mark
//	     0  "ENTRLOG\n"                               0  u32 state: 0 open, 1 sealed, 2 cutting, 3 clean
//	     8  u32 format version, 1                     4  u32 chain at the durable index
//	    12  u32 state: 0 empty, 1 active              8  u64 counter, the higher slot is valid; 0 = blank
//	    16  16 bytes, identity of the log            16  u64 durable index
//	    32  u64 segment identifier                   24  u64 epoch at the durable index
//	    40  u64 size of the segment in bytes         32  u64 offset behind the frame of the durable index
//	    48  u64 index of the first entry             40  u32 CRC of bytes 0-39, seeded with the CRC of the
//	    56  u64 epoch of the preceding frame                 log's identity and the segment's identifier
//	    64  u32 chain of the preceding frame
//	    68  u32 CRC of bytes 0-67
//
//	frame                                        entry
//	     0  u32 magic E5 'L' 'F' '1'                  0  u8  kind: 1 full, 2 first, 3 middle, 4 last
//	     4  u32 length of the frame in bytes          1  u32 length of the data
//	     8  u32 CRC of bytes 0-7 and 12-end,          5  data
//	            seeded with the CRC of the
//	            preceding frame: the chain
//	    12  u32 CRC of the preceding frame
//	    16  u8  format version, 1
//	    17  u8  flags, none defined: 0
//	    18  u16 0
//	    20  u32 number of entries, at least 1
//	    24  u64 epoch
//	    32  u64 index of the first entry
//	    40  i64 wall time, nanoseconds since 1970
//	    48  entries
//
// Frames are the same bytes on every replica. Headers and durable marks are local.
//
// # Why a crash is safe
//
// The chain makes a frame valid only behind exactly the frame it was written behind, so the old frames in a
// recycled segment cannot be read. A batch is one pwrite for each contiguous run of frames and one fdatasync. The
// mark that it is durable is written right after the fdatasync and reaches the disk with the next one at the latest.
// (A mark in the same fdatasync as its frames could survive a power cut without them, and a torn tail would look like
// damage.) So after a kill the mark is exact, after a power cut it may lag by the batches of the last moments,
// and at rest (Close) it is exact: damage in what it covers is never taken for a torn tail.
//
// When a segment is full it is synced before the next one is activated; activation is the write of one sector. Hence
// only the last active segment can have a torn tail. After the activation is durable the full segment's mark is set to
// "sealed", so that the loss of the next file is noticed.
//
// A cut must not be half done. It is first written as the state "cutting" of the segment that will be the last, a single
// sector; whoever finds that state completes the cut: empties the later segments, overwrites what could be read as
// a frame behind the cut, and sets the state back to "open". A torn tail is overwritten in the same way,
// or a follower that receives its first frame once more, byte for byte, would resurrect the rest.
package log

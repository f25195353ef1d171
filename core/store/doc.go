// Package store keeps what was acknowledged. It owns the log, the committer
// that batches changes into it, the applier that turns committed changes into
// state, and the checkpoints that let the log forget.
//
// A change is an [Op]; one or several that happen together are a [Request],
// which becomes one record of the log. The state itself belongs to a
// [Machine] (core/broker): a deterministic function of the log. The same Apply
// serves the leader after a commit, a follower, and a restart.
//
// The way of a request:
//
//	Commit -> queue -> log writer: one frame, one fdatasync for all that waited
//	                -> applier: Apply in log order, Machine.Settle, Done.Complete in log order
//	                -> checkpointer (in the background, when due): Freeze, pages, log segments freed
//
// Guarantees: Done.Complete(nil) of a synced request is called after its
// record is on disk and applied. Requests complete in the order in which
// Commit was called. After a crash the state is that of a prefix of the log
// which contains every completed synced request.
//
// A failed write or fsync is final: every request from then on completes with
// ErrFailed, and the process has to be restarted so that the log is read
// again. A full disk is not: requests that store messages complete with
// ErrFull, others still find room in segments kept for them, and wait when that
// is used up too.
//
// A checkpoint stands at a place that the log has synced; one that a crash cut
// off is written again. Open refuses a log and a page store that do not belong
// together, with a [MismatchError] that says what to do.
package store

// Package schedule holds the messages that are to be sent later, once or again
// and again: what a schedule is ([Spec]), when it is due ([Cron]), and all of
// them ([Table]).
//
// The broker's applier changes a Table by encoded changes (AppendAdd,
// AppendFired, AppendRemoved) that come in the order of the log, so that every
// node has the same one. The broker that leads also asks it what is due. A
// Table never looks at a clock: when a job is due next is in the change.
//
// # Memory
//
// A job takes 44 bytes, whenever it is due: a slot (id, due time, repeats left,
// place in the heap), a place in the heap that sorts by due time and one in the
// index by id. Its message is in memory only until the checkpoint that stores it
// is complete, and again shortly before it is due.
//
// # Stored form
//
// Slots stand in directories of 256 under the kind 's' and the directory's
// number, 4 bytes big-endian; a job's record (job.go) stands under the kind 'S'
// and its id. A start reads the directories only. The number of a slot is the
// lowest that is free, which makes it a function of the state and not of its
// history: a checkpoint that a crash cut short is written again with the same
// keys.
//
// # Locks
//
// A Table has one mutex, a leaf. It is held for no I/O.
package schedule

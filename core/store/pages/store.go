package pages

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of what a Writer takes.
const (
	MaxValue = 512 << 10 // bytes; keeps every value inside Badger's tables, its value log stays empty
	MaxKey   = 1024      // bytes
)

// Errors that a caller may want to tell apart. They come wrapped.
var (
	ErrNotFound = errors.New("key not found")
	ErrClosed   = errors.New("page store is closed")
	ErrBusy     = errors.New("a checkpoint is being written")
	ErrNoSpace  = errors.New("not enough free disk space")
	ErrLocked   = errors.New("page store is in use by another process")
	// ErrIntent: an unfinished checkpoint must be written again before another one.
	ErrIntent = errors.New("an unfinished checkpoint must be completed first")
	// ErrOldIndex: a checkpoint's index must be above the last completed one's.
	ErrOldIndex = errors.New("checkpoint is not newer than the last one")
	ErrTooLarge = errors.New("value is too large")
	ErrBadKey   = errors.New("key is not allowed")
	ErrDone     = errors.New("checkpoint was already committed or aborted")
)

// Mark is what a completed checkpoint stands for: the state after log record Index of Epoch, with
// the log's chained checksum there, in the owner's Format.
type Mark struct {
	Index, Epoch uint64
	Chain        uint32
	Format       uint32
}

const markSize = 24

func (m Mark) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, m.Index)
	b = binary.BigEndian.AppendUint64(b, m.Epoch)
	b = binary.BigEndian.AppendUint32(b, m.Chain)
	return binary.BigEndian.AppendUint32(b, m.Format)
}

// decodeMark reads a mark; b holds at least markSize bytes.
func decodeMark(b []byte) Mark {
	return Mark{
		Index:  binary.BigEndian.Uint64(b),
		Epoch:  binary.BigEndian.Uint64(b[8:]),
		Chain:  binary.BigEndian.Uint32(b[16:]),
		Format: binary.BigEndian.Uint32(b[20:]),
	}
}

// Store holds the pages. All methods are safe for concurrent use; Begin admits one Writer at a time.
type Store interface {
	// Mark is the last completed checkpoint's mark, zero if there is none.
	Mark() Mark
	// Intent is the index of a checkpoint that was begun and not completed, zero if there is none.
	// The next Begin must be for it.
	Intent() uint64
	// Begin makes the intent durable and opens a checkpoint at m.Index. It waits for a Maintain that
	// is running; it returns ErrBusy while another Writer is open, ErrIntent or ErrOldIndex when m is
	// not the checkpoint to write now, ErrNoSpace (and nothing is written) on a disk that is too full.
	Begin(m Mark) (Writer, error)
	// Get appends the value of key, as of the last completed checkpoint, to dst and returns it;
	// ErrNotFound if it has none. On an error dst comes back as it was.
	Get(dst, key []byte) ([]byte, error)
	// Scan calls fn for the keys that begin with prefix, in order, as of the checkpoint that is the
	// last completed one when Scan starts, and returns fn's first error. The slices are valid during
	// the call of fn only. fn may use the Store.
	Scan(prefix []byte, fn func(key, value []byte) error) error
	// Size estimates the bytes that live keys hold, and those that the store takes from the disk.
	Size() (live, disk int64)
	// Maintain gives disk space back if enough of it is dead, and returns when that is done. Get and
	// Scan are served meanwhile except for a short pause, Begin waits. ctx ends the waiting for an
	// open Writer, not the work itself.
	Maintain(ctx context.Context) error
	// Close ends the store. A Writer that is open fails from then on, its checkpoint stays an intent.
	Close() error
}

// Writer writes one checkpoint. It is used by one goroutine. The last of several operations on one
// key counts. Memory does not grow with the checkpoint: full transactions go to the disk on the way.
// After an error the checkpoint can only be aborted.
type Writer interface {
	// Put sets key to value. Both are copied.
	Put(key, value []byte) error
	// Delete removes key; one that does not exist is no error.
	Delete(key []byte) error
	// Commit completes the checkpoint: it is on disk and readers see it.
	Commit() error
	// Abort gives the Writer up. The intent stays, unless nothing was put or deleted. After a Commit
	// that succeeded it does nothing, after one that failed it is needed: `defer w.Abort()` is right.
	Abort()
}

// internal marks the keys that are this package's own.
const internal = 0x00

var reservedByBadger = []byte("!badger!")

func checkKey(key []byte) error {
	switch {
	case len(key) == 0 || len(key) > MaxKey:
		return fmt.Errorf("%w: %d bytes, allowed are 1 to %d", ErrBadKey, len(key), MaxKey)
	case key[0] == internal || bytes.HasPrefix(key, reservedByBadger):
		return fmt.Errorf("%w: %q is reserved", ErrBadKey, key)
	}
	return nil
}

func checkPut(key, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(value), MaxValue)
	}
	return checkKey(key)
}

// admit says whether a checkpoint with mark m may be written after the completed one.
func admit(completed Mark, intent uint64, m Mark) error {
	switch {
	case intent != 0 && m.Index != intent:
		return fmt.Errorf("begin checkpoint %d: %w (index %d)", m.Index, ErrIntent, intent)
	case m.Index <= completed.Index || m.Index >= math.MaxInt64:
		return fmt.Errorf("begin checkpoint %d: %w (index %d)", m.Index, ErrOldIndex, completed.Index)
	}
	return nil
}

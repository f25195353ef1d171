package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// SectorSize is the unit, in bytes, that a disk writes as a whole or not at all.
const SectorSize = 512

// LockName is the file inside a directory that Lock holds.
const LockName = "LOCK"

// FS is a file system. Names are paths as package path/filepath joins them.
// Errors wrap fs.ErrNotExist, fs.ErrExist and the system's error number where they apply.
type FS interface {
	// MkdirAll makes dir and its missing parents and syncs the parents of what it made.
	MkdirAll(dir string) error
	// Create makes a new empty file, open for reading and writing. It fails if the name is taken.
	// The entry is durable after SyncDir.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// OpenRead opens an existing file for reading only.
	OpenRead(name string) (File, error)
	// Rename gives a file another name in the same directory, replacing what was there.
	// Open handles stay valid. The change is durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file. Open handles stay readable. The change is durable after SyncDir.
	Remove(name string) error
	// List returns the names (without the directory) of the regular files in dir, sorted.
	List(dir string) ([]string, error)
	// SyncDir makes the entries of dir durable.
	SyncDir(dir string) error
	// Free returns the bytes that this process may still allocate on the file system that holds dir.
	Free(dir string) (int64, error)
	// Lock takes the exclusive lock of dir. While another process, or another caller in this one, holds it,
	// the error is a *LockedError. Closing the result, or the end of the process, releases it.
	Lock(dir string) (io.Closer, error)
}

// File is an open file.
type File interface {
	// ReadAt and WriteAt are pread and pwrite; they do not keep the slice.
	io.ReaderAt
	io.WriterAt
	// Name is the name under which the file was opened; Rename does not change it.
	Name() string
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Allocate reserves space so that later writes below size cannot fail for want of it,
	// and makes the file at least size bytes long. New bytes read as zero.
	Allocate(size int64) error
	// Truncate sets the length of the file.
	Truncate(size int64) error
	// Sync makes the content, and the metadata needed to read it back, durable (fdatasync).
	// An error is final for this file: see the package's promises.
	Sync() error
	Close() error
}

// BlockSize is the multiple of bytes that direct reads and writes must keep to.
const BlockSize = 4096

// Direct is an FS that can leave the operating system's cache out.
type Direct interface {
	// OpenDirect opens an existing file for reads and writes that go from memory to the disk. Offsets, lengths and
	// the addresses of slices must be multiples of BlockSize. A file system that can't do it says so here, or some
	// by EINVAL when a read or write is tried. Reads and writes of other handles see the same content.
	OpenDirect(name string) (File, error)
}

// LockedError says that a directory is in use.
type LockedError struct {
	Dir string
	PID int // process that holds the lock; 0 if unknown
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("directory %q is locked by another process", e.Dir)
	}
	return fmt.Sprintf("directory %q is locked by process %d", e.Dir, e.PID)
}

// IsFull reports whether err means that the file system, or the user's quota, has no space left.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || isQuota(err)
}

// IsNotExist reports whether err means that a file or directory is missing.
func IsNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

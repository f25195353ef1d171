package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes a lock that belongs to the open file: closing another
// descriptor of the same file doesn't end it, as it does with POSIX's own.
func tryLock(f *os.File) (bool, error) {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// overNetwork reports whether somebody else than this kernel decides about the lock.
func overNetwork(f *os.File) bool {
	var s unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &s) != nil {
		return true
	}
	switch int64(s.Type) { //nolint:unconvert // types differ between systems
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}

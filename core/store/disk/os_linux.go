package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var _ Direct = OS{}

// OpenDirect implements Direct.
func (OS) OpenDirect(name string) (File, error) { return openOS(name, os.O_RDWR|unix.O_DIRECT) }

// datasync leaves out timestamps, which plain fsync would journal at every batch.
func datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func allocate(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return fillZeros(f, size)
		default:
			return err
		}
	}
}

//go:build unix

package protocols

import (
	"errors"
	"syscall"
)

// peekable reports whether a read of the socket would not block.
func peekable(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EAGAIN)
		}
	}
}

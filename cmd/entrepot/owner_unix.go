//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file that it will replace: the broker's
// user must still be able to read what root has changed.
func keepOwner(f *os.File, file string) error {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(s.Uid) == os.Geteuid() && int(s.Gid) == os.Getegid() {
		return nil
	}
	if err := f.Chown(int(s.Uid), int(s.Gid)); err != nil {
		return fmt.Errorf("the file belongs to another user: %w", err)
	}
	return nil
}

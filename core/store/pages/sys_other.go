//go:build !unix

package pages

import (
	"math"
	"os"
)

// freeSpace is not known here: a full disk is then found by the write that fails.
func freeSpace(string) (int64, error) { return math.MaxInt64, nil }

// lockFile leaves exclusion to Badger's own lock.
func lockFile(*os.File, bool) error { return nil }

func allocated(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// syncDir has nothing to do: directories cannot be synced here.
func syncDir(string) error { return nil }

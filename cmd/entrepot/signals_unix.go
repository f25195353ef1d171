//go:build unix

package main

import (
	"os"
	"syscall"
)

// What the signals of an operator mean.
var (
	stopSignals  = []os.Signal{os.Interrupt, syscall.SIGTERM}
	reloadSignal = os.Signal(syscall.SIGHUP)
	reportSignal = os.Signal(syscall.SIGUSR1)
)

// descriptorLimit returns how many files the process may have open, 0 if that
// isn't known. The Go runtime has already raised the soft limit to the hard one.
func descriptorLimit() uint64 {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0
	}
	return uint64(r.Cur) //nolint:unconvert // signed on some systems
}

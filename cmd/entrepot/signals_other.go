//go:build !unix

package main

import (
	"os"
	"syscall"
)

// What the signals of an operator mean; there are fewer than on Unix.
var (
	stopSignals  = []os.Signal{os.Interrupt, syscall.SIGTERM}
	reloadSignal = os.Signal(syscall.SIGHUP)
	reportSignal = os.Signal(syscall.SIGQUIT)
)

func descriptorLimit() uint64 { return 0 }

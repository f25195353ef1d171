package main

import "syscall"

const canGuard = true

// guardedProcess lets the broker end with its guardian, and keeps a terminal's
// signals to the guardian, which passes them on.
func guardedProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

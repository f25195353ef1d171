//go:build !linux

package main

import "syscall"

// canGuard: elsewhere a broker could outlive its guardian.
const canGuard = false

func guardedProcess() *syscall.SysProcAttr { return nil }

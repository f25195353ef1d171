//go:build unix

package harness

import "syscall"

// Pause stops the process with SIGSTOP, as a long pause of its machine would.
func (b *Broker) Pause() error { return b.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (b *Broker) Resume() error { return b.cmd.Process.Signal(syscall.SIGCONT) }

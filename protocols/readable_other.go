//go:build !unix

package protocols

// peekable lets the read itself wait where there is no way to ask.
func peekable(uintptr) bool { return true }

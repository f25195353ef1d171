//go:build race

package simtest

// raced says that the race detector slows everything down. It has nothing to find here: a run is one goroutine.
const raced = true

//go:build race

package stomp

// raceStack is what the race detector's larger frames add to a waiting
// goroutine's stack.
const raceStack = 4 << 10

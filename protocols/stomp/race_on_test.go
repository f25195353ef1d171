//go:build race

package stomp

// idleLimit is what an idle connection may hold. The race detector has larger
// frames and its own books.
const idleLimit = 16 << 10

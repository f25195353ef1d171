//go:build !race

package stomp

const idleLimit = 8 << 10

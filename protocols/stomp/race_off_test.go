//go:build !race

package stomp

const raceStack = 0

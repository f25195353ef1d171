// Package harness runs a broker as a process for tests, and installs the
// foreign tools that tests need.
//
// Who starts a [Broker] ends it, with Stop, Kill or Close. Nothing here skips:
// a tool that can't be had is an error that says what to install. Methods of a
// Broker may be called from any goroutine.
package harness

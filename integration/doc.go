// Package integration is the root of the tests that run the real binary as a
// process of its own, with clients of other languages, and break it.
//
//   - harness starts, pauses, kills and inspects a broker, and installs tools
//   - wire is a STOMP client that hides nothing
//   - stomp runs one list of features from every STOMP client
//   - suites runs the clients' own test-suites
//   - faults kills the broker, fails its disk, floods it, and checks histories
//
// The tests need the build tag "integration" (make integration); the checker
// of faults has unit tests that need nothing.
package integration

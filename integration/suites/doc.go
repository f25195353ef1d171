// Package suites runs the test suites of client libraries, as their authors
// wrote them, against the real broker: make suites.
//
// The suites are in no package registry, so they are cloned: from the
// libraries' repositories, or from where an environment variable says (a path
// or an address that git understands), always at the commit that is named here.
//
//	STOMPPY_SUITE=~/src/stomp.py STOMPJS_SUITE=~/src/stompjs PAHO_SUITE=~/src/paho.mqtt.testing make suites
//
// go-amqp's integration tests come with its module, at the version of go.mod.
//
// stomp.py's tests use the fixed ports 61613 (the broker's) and 60000 (a stub's).
package suites

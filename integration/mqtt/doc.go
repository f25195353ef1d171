// Package mqtt runs real MQTT clients against the real broker, and kills the
// broker under clients of QoS 1 and 2.
//
// [Client] is a client of its own that keeps its session state as the
// specification demands, whatever happens to its connections, so that what a
// test counts is the broker's doing.
package mqtt

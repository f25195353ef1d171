// Package message is Entrepot's one internal message model.
//
// A [Message] has an [Envelope] in core terms, parsed once where the message
// enters, and a payload kept in its publisher's encoding. Both live in one
// byte slice, [Message.Raw], which is what the log, Badger, followers and
// exports hold; nothing marshals a message a second time.
//
// Everything that a protocol can say about a message beyond the envelope is
// in the payload. A [View] (typed properties and a body) is built from it by
// the [Converter] of its encoding, once and only when somebody needs it: a
// selector, a consumer of another protocol, the console. The types of [Value]
// are the hub between the protocols: each converts to and from these and
// nothing else. What the broker itself makes, and what comes by its API, is a
// View from the start ([NewView]) and has the hub's own encoding.
//
// A Message is immutable from the moment New or Decode returned it and is
// shared by fan-out, redelivery and browsing without locks. So are views and
// values. Whatever is decoded points into the bytes that it was decoded from.
//
// Frontends make messages, names and ids and read them back; the broker, the
// queues and the store pass them on. The package imports nothing of ours, does
// no I/O and starts no goroutine. Its encodings are stored: the files under
// testdata hold them, and a change of format is a new version.
package message

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
// selector, a consumer of another protocol, the console.
//
// A Message is immutable from the moment New or Decode returned it and is
// shared by fan-out, redelivery and browsing without locks.
package message

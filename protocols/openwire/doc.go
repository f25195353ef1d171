// Package openwire speaks OpenWire, the protocol of ActiveMQ's own clients:
// Java (JMS), .NET and C++.
//
// Its encoding is the package wire below this one. Here are the conversation
// (one file for each kind of command), the conversion of messages to and from
// the hub, and the connection: a reader, which carries out commands, and a
// writer, which runs while there is something to write.
//
// # Who counts what
//
// An OpenWire client gives credit by its prefetch and by acknowledgements, so
// consumers are made without a window and get credit as openwire.md's formula
// says (consumer.credit). The client names deliveries by message id; a
// consumer keeps what it was given, in the order in which it was, and finds
// ids from its front, where they nearly always are.
//
// # Locks
//
// conn.turn is held while a command is carried out; conn.mu, a leaf, guards the
// outbox and what deliveries note. The broker is called with turn held and never
// with mu.
package openwire

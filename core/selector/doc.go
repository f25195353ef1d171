// Package selector parses and evaluates message selectors: the SQL-92
// conditions by which a JMS, STOMP, AMQP or OpenWire consumer says which
// messages it wants.
//
// The grammar is ActiveMQ's without XPATH and XQUERY, and the meaning that of
// Jakarta Messaging 3.1, section 3.8: three-valued logic, where NULL and what
// is computed from it is UNKNOWN, and a message is selected only if the whole
// condition is TRUE. README.md has the grammar and each place where ActiveMQ
// and the specification differ.
//
// The broker gets its selectors from a [Cache], so that the same text is the
// same *Selector: queues share a cursor among the consumers of one selector.
// A Selector is immutable and safe for concurrent use; evaluating one
// allocates nothing, calls no foreign code but the message's converter, and
// takes time in proportion to the selector's length times that of the values
// it looks at. It is a function of the message alone: every node of a group
// that evaluates it gets the same.
//
// Text comes from clients that may mean harm: it is bounded by [MaxLength],
// [MaxDepth] and [MaxList], and nothing in it can cause a panic.
package selector

// Package amqp runs AMQP 1.0 clients of other languages against the real
// broker: Qpid JMS, Qpid Proton for Python and C++, rhea. Each prints a line for each
// feature that works. Azure's client for Go is in the tests of protocols/amqp.
//
// What they use is installed once into the user's cache.
package amqp

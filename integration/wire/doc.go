// Package wire is a STOMP 1.2 client that hides nothing: every frame that is
// sent or received is seen by its caller, and every error is returned. It
// retries nothing, answers nothing by itself and keeps no state of a session.
//
// One goroutine may send while another one reads.
package wire

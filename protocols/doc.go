// Package protocols owns the broker's listeners: it accepts connections,
// finds out which protocol a client speaks, and hands each connection to the
// Frontend of that protocol.
//
// cmd/entrepot is the caller: it parses listener URIs with ParseListener,
// makes the frontends, and runs a Server. Each folder below is one frontend.
//
// What it promises:
//
//   - A stranger costs little. Until Conn.Authenticated a connection has a
//     deadline, counts against a limit of its source address, and holds
//     no buffer that it did not fill.
//   - An idle connection costs one goroutine and about a kilobyte:
//     Conn.WaitReadable waits without a buffer, Wheel holds all timers.
//   - A panic while one connection is served ends that connection only.
//   - Drain stops accepting, closes what is quiet, waits for the rest.
//
// Locks: Server.mu, Listener.mu, strangers.mu and Wheel.mu are leaves: none is
// held while another is taken or a function of somebody else's is called.
package protocols

// Package security decides who a client is and what it may do.
//
// [Security] is made by the assembly from the operator's files and handed to
// the broker, which asks it twice: Authenticate, or SCRAM, when a client connects, and
// Authorize after a destination has been resolved (aliases followed,
// composites split). No frontend asks by itself.
//
// It promises:
//   - nothing is allowed that was not granted: an empty users file lets nobody
//     in, an empty permissions file allows nothing;
//   - a failed login costs the same whether the user exists or not, and SCRAM asks
//     for one that doesn't as for one that does;
//   - passwords are hashed at most a few at a time, and a client that
//     reconnects with a password that was right a moment ago is not hashed for
//     again;
//   - a reload takes all files or none, and never leaves a moment without
//     rules.
//
// It owns the formats of the users file ([ParseUsers]) and of the permissions
// file ([ParsePermissions]), which stand beside their code.
//
// # Lock order
//
// keySet.fetching, then keySet.mu. credentials.mu is a leaf.
package security

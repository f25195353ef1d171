// Package faults breaks a broker under load and checks what its clients saw.
//
// Clients write everything that they do and see into a [History]; [Check]
// holds it against the promises of the broker:
//
//  1. Lost: a send that was confirmed is consumed by somebody in the end.
//  2. Unexpected: nothing arrives that was not sent there, nor changed.
//  3. AfterReceipt: what was acknowledged with a receipt is never delivered
//     again after that receipt.
//  4. Reordered: the first deliveries of a producer's messages come in the
//     order in which they were sent; to each connection of competing consumers,
//     and over all connections where a queue has one consumer only.
//  5. Partial: of a transaction everything happens or nothing, everything if
//     its commit was confirmed, nothing if it was aborted.
//  6. Unmarked: a second delivery within one life of the broker is marked as
//     redelivered.
//
// A send or a commit whose outcome nobody knows, because the connection ended,
// may have happened or not. Duplicates of what was not acknowledged with a
// receipt are allowed and counted.
//
// [KillLoop] is a load of every kind of client with a broker that is killed
// again and again. Everything that it does follows from a seed, but for the
// timing of processes.
package faults

// Package nodekey is how nodes of a group prove to each other that they belong
// to it: keys and certificates made from the group's secret, or certificates
// that the operator gives.
//
// From the secret every node derives the same authority, and signs itself a
// certificate with its own name, anew at each start: mutual TLS without an
// operator who makes and renews certificates. Who knows the secret is a node.
//
// The assembly (cmd) makes a Key and hands its TLS configurations to
// replication, the embedded etcd and the standby's relay. A Key is immutable.
package nodekey

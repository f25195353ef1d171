// Command entrepot is the broker and its command line.
//
// It is the one place that knows every part: serve puts the broker, its
// protocols, listeners and console together from a configuration, and takes
// them apart again in the reverse order. The other commands are clients (pub,
// sub, bench), offline tools (store, config) or probes (health).
//
// What every command keeps to: data goes to stdout and talk to stderr; an
// error says what to do next; only main ends the process, with the codes of
// exit.go.
package main

// Package policy says what holds for which destinations: entries with a
// pattern and some settings, compiled into a [Set] that the broker asks for
// the [Policy] of a destination.
//
// # Precedence
//
// All entries whose pattern selects a destination count, setting by setting:
// the most specific entry that has a setting decides it. Patterns are compared
// element by element from the left; at the first element where they differ a
// name is more specific than '*', and '*' more than '>'. So "orders.>" wins
// against "*.new", and "orders.*" against "orders.>". Of two entries with the
// same pattern the later one wins. What no entry says is the default.
//
// A Set never changes and may be used from any goroutine.
package policy

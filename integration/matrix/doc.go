// Package matrix sends messages by one protocol and receives them by another,
// through the real broker: each kind of body, each type of property, persistent
// and not. A pair of protocols has a file.
package matrix

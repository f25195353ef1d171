// Package wire is OpenWire's encoding: structures between bytes and Go values.
//
// The structures of versions 1 to 12, structures.go, are generated from
// schema.json, one struct each with a method that reads its fields and one that
// writes them. Both encodings of the protocol use the same methods: the loose
// one has every field's bytes in order, the tight one collects booleans (and
// whether something is null, or how long a number is) as bits that stand in
// front of the bytes.
//
// A Decoder and an Encoder serve one direction of one connection, because each
// has a cache of values that both ends keep; neither is safe for concurrent
// use. They do no I/O. What a Decoder allocates is bounded by the size of the
// frame that it is given. Byte slices of decoded structures point into
// the frame, but for those of values that the cache keeps; strings are copies. A decoded structure may share parts with
// others, so it is never changed.
//
// Values of maps and streams, which have a format of their own, are in
// primitive.go.
package wire

//go:generate go run ./gen

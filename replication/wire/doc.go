// Package wire is what nodes of a group say to each other, as bytes.
//
// A connection carries packets in one direction. Its first packet is a [Hello]; what follows depends on its purpose: messages
// of replication/protocol, or one snapshot. All integers are uvarints unless a size is given; strings and bytes are their
// length and their content.
//
//	packet    u32 length of the rest (little-endian), u8 type, body
//	hello     magic "ENTREPOT-R", version, purpose, group, node, receiver
//	message   kind, flags (1: reply), from, incarnation, epoch, promised, seq, prev, end, last, first, commit, mem, durable,
//	          weight (zigzag), number of epochs, each: epoch, index; raw bytes
//	position  epoch, index, u32 chain (little-endian)
//	header    epoch, incarnation, position, format, number of epochs, each: epoch, index
//	pair      key, value
//	end       number of pairs, u64 sum of the pairs' hashes (little-endian)
//
// Every length is checked before memory is taken; what is not the shortest form, or is followed by something, is an
// error. Frames inside messages have checksums of their own; TLS keeps the rest whole.
package wire

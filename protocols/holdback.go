package protocols

// Holdback keeps sends in their order while the broker asks for them to be
// held. What sends nothing passes it by. Op is how a protocol notes a send.
// Whoever owns it guards it.
type Holdback[Op any] struct {
	// On says that sends are held: the broker asked for it, and has not let
	// them go on.
	On bool

	ops   []heldOp[Op]
	bytes int
}

type heldOp[Op any] struct {
	op   Op
	size int
}

// Keep adds a send of so many bytes.
func (h *Holdback[Op]) Keep(op Op, size int) {
	h.ops = append(h.ops, heldOp[Op]{op, size})
	h.bytes += size
}

// Full reports whether that many sends or bytes are kept: then the connection
// should not be read any more.
func (h *Holdback[Op]) Full(sends, bytes int) bool { return len(h.ops) >= sends || h.bytes >= bytes }

// Resume has what is kept sent, until all is or send says that the broker asks
// for the rest to be held.
func (h *Holdback[Op]) Resume(send func(Op) (wait bool)) {
	h.On = false
	done := 0
	for done < len(h.ops) && !h.On {
		held := h.ops[done]
		h.bytes -= held.size
		h.ops[done] = heldOp[Op]{}
		done++
		h.On = send(held.op)
	}
	h.ops = h.ops[:copy(h.ops, h.ops[done:])]
	if len(h.ops) == 0 {
		h.ops = nil
	}
}

// Flush has all that is kept sent, whatever the broker asks for: the client has
// gone and there will be no more.
func (h *Holdback[Op]) Flush(send func(Op) (wait bool)) {
	for _, held := range h.ops {
		send(held.op)
	}
	*h = Holdback[Op]{}
}

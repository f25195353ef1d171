package queue

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
)

// maxPart is the largest part of a body in the page store, in bytes.
const maxPart = 256 << 10

// Refs collects what a checkpoint does to bodies kept by reference: how many
// pages refer to a body decides whether it is there. It is used once, for one
// attempt at a checkpoint.
type Refs struct {
	changes map[message.ID]*refChange
}

type refChange struct {
	delta int
	msg   *message.Message // the body, from whoever adds the first reference
}

// NewRefs returns an empty collection.
func NewRefs() *Refs { return &Refs{changes: make(map[message.ID]*refChange)} }

func (r *Refs) add(id message.ID, delta int, m *message.Message) {
	c := r.changes[id]
	if c == nil {
		c = &refChange{}
		r.changes[id] = c
	}
	c.delta += delta
	if m != nil {
		c.msg = m
	}
}

// drop takes back the references of a stored page that goes.
func (r *Refs) drop(p pages.Store, key []byte) error {
	value, err := p.Get(nil, key)
	if err != nil {
		return fmt.Errorf("read a page that is to be removed: %w", err)
	}
	return eachEntry(value, func(_ uint8, _ []byte, ref *bodyRef) error {
		if ref != nil {
			r.add(ref.id, -1, nil)
		}
		return nil
	})
}

// Write applies the changes: bodies that are referred to for the first time
// are stored, those that nobody refers to any more are removed.
func (r *Refs) Write(p pages.Store, w pages.Writer) error {
	for id, c := range r.changes {
		if c.delta == 0 {
			continue
		}
		if err := c.write(p, w, id); err != nil {
			return fmt.Errorf("body %x-%x: %w", id.Hi, id.Lo, err)
		}
	}
	return nil
}

func (c *refChange) write(p pages.Store, w pages.Writer, id message.ID) error {
	key := store.RefsKey(nil, id.Hi, id.Lo)
	count, size, err := readRefs(p, key)
	if err != nil {
		return err
	}
	if count == 0 {
		if c.msg == nil || c.delta < 0 {
			return errors.New("reference count would fall below zero")
		}
		size = len(c.msg.Raw())
		if err := putBody(w, id, c.msg.Raw()); err != nil {
			return err
		}
	}
	if count += c.delta; count < 0 {
		return errors.New("reference count would fall below zero")
	}
	if count > 0 {
		return w.Put(key, binary.AppendUvarint(binary.AppendUvarint(nil, uint64(count)), uint64(size)))
	}
	for part := range parts(size) {
		if err := w.Delete(store.BodyKey(nil, id.Hi, id.Lo, part)); err != nil {
			return err
		}
	}
	return w.Delete(key)
}

func readRefs(p pages.Store, key []byte) (count, size int, err error) {
	v, err := p.Get(nil, key)
	if errors.Is(err, pages.ErrNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	n, l := binary.Uvarint(v)
	if l <= 0 {
		return 0, 0, errPage
	}
	s, l := binary.Uvarint(v[l:])
	if l <= 0 {
		return 0, 0, errPage
	}
	return int(n), int(s), nil
}

func parts(size int) uint32 { return uint32((size + maxPart - 1) / maxPart) }

func putBody(w pages.Writer, id message.ID, raw []byte) error {
	for part := range parts(len(raw)) {
		from := int(part) * maxPart
		if err := w.Put(store.BodyKey(nil, id.Hi, id.Lo, part), raw[from:min(from+maxPart, len(raw))]); err != nil {
			return err
		}
	}
	return nil
}

func getBody(p pages.Store, ref *bodyRef) (raw []byte, err error) {
	for part := range parts(ref.size) {
		if raw, err = p.Get(raw, store.BodyKey(nil, ref.id.Hi, ref.id.Lo, part)); err != nil {
			return nil, fmt.Errorf("part %d of body %x-%x: %w", part, ref.id.Hi, ref.id.Lo, err)
		}
	}
	if len(raw) != ref.size {
		return nil, fmt.Errorf("body %x-%x has %d bytes instead of %d", ref.id.Hi, ref.id.Lo, len(raw), ref.size)
	}
	return raw, nil
}

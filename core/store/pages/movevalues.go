package pages

import (
	"context"
	"fmt"
)

// moveValues copies what is alive in a value file to the last one, so that the file goes. It reports
// false if that has to wait for a checkpoint to be completed.
//
// Each transaction is a checkpoint with the mark of the last one: what it moves, the use of the files,
// and the mark at the new version, all in one. Several transactions at one version, as those of a
// checkpoint are, would not do: nothing would repeat them after a crash.
func (s *Badger) moveValues(ctx context.Context, id uint64) (moved bool, err error) {
	if err := s.exclude(ctx); err != nil {
		return false, err
	}
	defer func() { s.slot <- struct{}{} }()
	use := s.values.used(id)
	switch {
	case s.Intent() != 0:
		return false, nil // its next attempt must stand on the present one
	case use.size == 0:
		return true, nil // it is gone by itself
	}
	if err := s.checkSpace(s.opt.MinFree + use.live); err != nil {
		return false, fmt.Errorf("move values: %w", err)
	}
	m := mover{s: s, ctx: ctx}
	err = s.values.each(id, use.size, m.move)
	if err == nil {
		err = m.end(id)
	}
	if err != nil {
		m.abort()
		return false, fmt.Errorf("move values: %w", err)
	}
	s.log.Info("values moved out of a file of the page store", "file", valueName(id), "bytes", use.live, "freed", use.size-use.live)
	return true, nil
}

// mover writes transactions of moved values.
type mover struct {
	s   *Badger
	ctx context.Context
	w   *badgerWriter // nil between transactions
}

// move moves one record, if its key still refers to it.
func (m *mover) move(p place, r record) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	if now, err := m.s.currentPlace(r.key); err != nil || now != p {
		return err
	}
	if m.full() {
		if err := m.commit(); err != nil {
			return err
		}
	}
	if m.w == nil {
		m.w = m.s.writer(m.s.Mark())
	}
	m.w.values.free(p)
	at, err := m.w.putApart(r.key, r.value)
	if err != nil {
		return err
	}
	return m.w.add(r.key, standsApart, at, false)
}

// full reports whether the transaction takes no more.
func (m *mover) full() bool {
	return m.w != nil && (m.w.cost+tableReserve > m.w.limit || m.w.count+tableReserve/entryOverhead > m.w.maxCount)
}

// tableReserve is what a transaction keeps free for one more value and the use of the few files that
// moved values can come to stand in.
const tableReserve = 4 << 10

// end commits the rest, and gives up the file.
func (m *mover) end(id uint64) error {
	if m.w == nil {
		m.w = m.s.writer(m.s.Mark())
	}
	m.w.values.changed[id] = fileUse{size: m.s.values.used(id).size} // dead, however it was counted
	return m.commit()
}

func (m *mover) commit() error {
	w := m.w
	if err := w.finish(); err != nil {
		return err
	}
	w.end()
	m.s.complete(w)
	m.w = nil
	return nil
}

// abort takes back what is not committed. What is, stays: it is whole.
func (m *mover) abort() {
	if m.w == nil {
		return
	}
	m.w.end()
	if m.w.txn != nil {
		m.w.txn.Discard()
	}
	m.w.retract()
}

// currentPlace is placeOf for what readers see now.
func (s *Badger) currentPlace(key []byte) (place, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return place{}, s.broken
	}
	return s.placeOf(key, s.readers.newest())
}

package pages

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

const (
	txnBytes = 4 << 20
	// Badger counts some bytes for each entry beside key and value; this is more than that.
	entryOverhead = 64
	// txnReserve is left free in each transaction for the mark and the usage, which go with the last.
	txnReserve = 8 << 10
)

// Begin implements Store.
func (s *Badger) Begin(m Mark) (Writer, error) {
	if err := s.takeSlot(); err != nil {
		return nil, err
	}
	w, err := s.begin(m)
	if err != nil {
		s.freeSlot()
		return nil, err
	}
	return w, nil
}

// takeSlot waits for Maintain, but not for another Writer.
func (s *Badger) takeSlot() error {
	if !s.setWriting(true) {
		return ErrBusy
	}
	select {
	case <-s.closing:
		s.setWriting(false)
		return ErrClosed
	case <-s.slot:
		return nil
	}
}

func (s *Badger) freeSlot() {
	s.slot <- struct{}{}
	s.setWriting(false)
}

// setWriting reports whether it changed anything.
func (s *Badger) setWriting(on bool) bool {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	changed := s.writing != on
	s.writing = on
	return changed
}

func (s *Badger) begin(m Mark) (*badgerWriter, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return nil, s.broken
	}
	s.stateMu.Lock()
	completed, intent, use := s.completed, s.intent, s.usage
	s.stateMu.Unlock()
	if err := admit(completed, intent, m); err != nil {
		return nil, err
	}
	if err := s.checkSpace(s.opt.MinFree); err != nil {
		return nil, fmt.Errorf("begin checkpoint %d: %w", m.Index, err)
	}
	if err := (checkpoint{completed: completed, intent: m.Index}).save(s.opt.Dir); err != nil {
		return nil, fmt.Errorf("begin checkpoint %d: %w", m.Index, err)
	}
	s.setIntent(m.Index)
	w := &badgerWriter{s: s, mark: m, usage: use, fresh: intent == 0}
	w.limit = int(min(txnBytes, s.db.MaxBatchSize()-txnReserve))
	w.maxCount = int(s.db.MaxBatchCount()) - 8
	return w, nil
}

func (s *Badger) setIntent(index uint64) {
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.intent = index
}

func (s *Badger) checkSpace(need int64) error {
	free, err := s.opt.Free(s.opt.Dir)
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("%w: %d MiB free, %d MiB needed", ErrNoSpace, free>>20, need>>20)
	}
	return nil
}

// badgerWriter is a checkpoint being written.
type badgerWriter struct {
	s        *Badger
	mark     Mark
	limit    int  // bytes in a transaction, as Badger counts them
	maxCount int  // entries in a transaction
	fresh    bool // no earlier attempt left anything in Badger

	usage   usage
	txn     *badger.Txn
	arena   []byte // what txn refers to; never grows beyond limit, so never moves
	cost    int
	count   int
	touched bool // something was put or deleted
	err     error
	done    bool
}

// Put implements Writer.
func (w *badgerWriter) Put(key, value []byte) error {
	if err := checkPut(key, value); err != nil {
		return w.fail(err)
	}
	if err := w.add(key, value, false); err != nil {
		return err
	}
	w.usage.put(key, len(key)+len(value))
	return nil
}

// Delete implements Writer.
func (w *badgerWriter) Delete(key []byte) error {
	if err := checkKey(key); err != nil {
		return w.fail(err)
	}
	if err := w.add(key, nil, true); err != nil {
		return err
	}
	w.usage.delete(key)
	return nil
}

func (w *badgerWriter) fail(err error) error {
	if w.err == nil && !w.done {
		w.err = err
	}
	return err
}

func (w *badgerWriter) add(key, value []byte, remove bool) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.touched = true
	cost := len(key) + sealSize + len(value) + entryOverhead
	if w.cost+cost > w.limit || w.count >= w.maxCount {
		if err := w.flush(); err != nil {
			return w.fail(err)
		}
	}
	if err := w.stage(key, value, remove); err != nil {
		return w.fail(err)
	}
	w.cost += cost
	w.count++
	return nil
}

func (w *badgerWriter) usable() error {
	if w.done {
		return ErrDone
	}
	return w.err
}

// stage puts the entry into the transaction, which refers to the arena until it is committed.
func (w *badgerWriter) stage(key, value []byte, remove bool) error {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return w.s.broken
	}
	if w.txn == nil {
		w.txn = w.s.db.NewTransactionAt(w.mark.Index, true)
	}
	if w.arena == nil {
		w.arena = make([]byte, 0, w.limit+txnReserve)
	}
	start := len(w.arena)
	w.arena = append(w.arena, key...)
	k := w.arena[start:len(w.arena):len(w.arena)]
	if remove {
		return w.txn.Delete(k)
	}
	start = len(w.arena)
	w.arena = appendSealed(w.arena, key, value, w.mark.Index)
	return w.txn.Set(k, w.arena[start:len(w.arena):len(w.arena)])
}

// flush commits the transaction, synced.
func (w *badgerWriter) flush() error {
	if w.txn == nil {
		return nil
	}
	// Above half of the reserve a checkpoint goes on: one that stops is written again from its start.
	if err := w.s.checkSpace(w.s.opt.MinFree / 2); err != nil {
		return fmt.Errorf("write checkpoint %d: %w", w.mark.Index, err)
	}
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return w.s.broken
	}
	err := guarded("commit", func() error { return w.txn.CommitAt(w.mark.Index, nil) })
	w.txn, w.arena, w.cost, w.count = nil, w.arena[:0], 0, 0
	if err != nil {
		return fmt.Errorf("write checkpoint %d: %w", w.mark.Index, err)
	}
	return nil
}

// Commit implements Writer.
func (w *badgerWriter) Commit() error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.finish(); err != nil {
		return w.fail(err)
	}
	w.done, w.arena = true, nil
	w.s.complete(w.mark, w.usage)
	w.s.freeSlot()
	return nil
}

// finish commits the rest together with the mark.
func (w *badgerWriter) finish() error {
	if err := w.stage(usageKey, w.usage.append(nil), false); err != nil {
		return err
	}
	if err := w.stage(markKey, w.mark.append(nil), false); err != nil {
		return err
	}
	return w.flush()
}

// complete makes m what readers see.
func (s *Badger) complete(m Mark, u usage) {
	s.stateMu.Lock()
	s.completed, s.intent, s.usage = m, 0, u
	s.stateMu.Unlock()
	s.readers.advance(m.Index)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db != nil {
		s.discard()
	}
	// The checkpoint is complete with Badger's mark. Without this file the next Open finds mark and
	// intent equal and knows it too, and the next Begin writes the file before anything else.
	if err := (checkpoint{completed: m}).save(s.opt.Dir); err != nil {
		s.log.Warn("checkpoint file is behind", "index", m.Index, "err", err)
	}
}

// Abort implements Writer.
func (w *badgerWriter) Abort() {
	if w.done {
		return
	}
	w.done, w.arena = true, nil
	if w.txn != nil {
		w.txn.Discard()
	}
	if w.fresh && !w.touched {
		w.withdraw()
	}
	w.s.freeSlot()
}

// withdraw takes the intent back. If that fails it stands, which only asks for the same index again.
func (w *badgerWriter) withdraw() {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return
	}
	if err := (checkpoint{completed: w.s.Mark()}).save(w.s.opt.Dir); err != nil {
		w.s.log.Warn("intent of an aborted checkpoint stays", "index", w.mark.Index, "err", err)
		return
	}
	w.s.setIntent(0)
}

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
	s.values.reap(s.readers.oldest())
	intent := s.Intent()
	if err := admit(s.Mark(), intent, m); err != nil {
		return nil, err
	}
	if err := s.checkSpace(s.opt.MinFree); err != nil {
		return nil, fmt.Errorf("begin checkpoint %d: %w", m.Index, err)
	}
	w := s.writer(m)
	if err := s.intend(m.Index); err != nil {
		return nil, fmt.Errorf("begin checkpoint %d: %w", m.Index, err)
	}
	w.fresh = intent == 0
	return w, nil
}

// writer returns a Writer of a version that Badger has nothing of yet: what an earlier attempt at the
// same checkpoint has left is older than what this one writes, even if Badger merges both.
func (s *Badger) writer(m Mark) *badgerWriter {
	s.stateMu.Lock()
	s.version++
	w := &badgerWriter{s: s, mark: m, version: s.version, usage: s.usage}
	s.stateMu.Unlock()
	w.before = s.readers.newest()
	w.values, w.places = s.values.writer(w.checkSpace), make(map[string]place)
	w.limit = int(min(txnBytes, s.db.MaxBatchSize()-txnReserve))
	w.maxCount = int(s.db.MaxBatchCount()) - 8
	return w
}

// intend makes it durable that checkpoint index is under way, 0 for none.
func (s *Badger) intend(index uint64) error {
	if err := s.saveCheckpoint(s.Mark(), index); err != nil {
		return err
	}
	s.stateMu.Lock()
	defer s.stateMu.Unlock()
	s.intent = index
	return nil
}

// saveCheckpoint writes the CHECKPOINT file.
func (s *Badger) saveCheckpoint(completed Mark, intent uint64) error {
	c := checkpoint{completed: completed, intent: intent}
	tail, use := s.values.tail()
	c.tail, c.tailSize = tail, use.size
	s.stateMu.Lock()
	c.version = s.version
	s.stateMu.Unlock()
	return c.save(s.opt.Dir)
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
	version  uint64 // of what it writes
	before   uint64 // of the completed checkpoint
	limit    int    // bytes in a transaction, as Badger counts them
	maxCount int    // entries in a transaction
	fresh    bool   // no earlier attempt left anything in Badger

	values *valueWriter
	places map[string]place // of values that it has put apart, or replaced: the zero place

	usage   usage
	place   []byte // the last one put apart
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
	return w.change(key, value, false)
}

// Delete implements Writer.
func (w *badgerWriter) Delete(key []byte) error {
	if err := checkKey(key); err != nil {
		return w.fail(err)
	}
	return w.change(key, nil, true)
}

func (w *badgerWriter) fail(err error) error {
	if w.err == nil && !w.done {
		w.err = err
	}
	return err
}

// change puts or removes one of the caller's keys.
func (w *badgerWriter) change(key, value []byte, remove bool) error {
	if err := w.usable(); err != nil {
		return err
	}
	w.touched = true
	stands, value, err := w.placed(key, value, remove)
	if err == nil {
		err = w.add(key, stands, value, remove)
	}
	if err != nil {
		return w.fail(err)
	}
	if remove {
		w.usage.delete(key)
	} else {
		w.usage.put(key, len(key)+len(value))
	}
	return nil
}

// placed puts the value apart if it is to stand there, and counts as dead what stood there before. It
// returns what goes to Badger.
func (w *badgerWriter) placed(key, value []byte, remove bool) (stands byte, v []byte, err error) {
	if !w.s.opt.Apart(key) {
		return standsHere, value, nil
	}
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return 0, nil, w.s.broken
	}
	old, known := w.places[string(key)]
	if !known {
		if old, err = w.s.placeOf(key, w.before); err != nil {
			return 0, nil, err
		}
	}
	if old.file != 0 {
		w.values.free(old)
		w.places[string(key)] = place{}
	}
	if remove || len(value) < apartSize {
		return standsHere, value, nil
	}
	v, err = w.putApart(key, value)
	return standsApart, v, err
}

// putApart puts the value into a value file and returns its place, which is valid until the next call.
func (w *badgerWriter) putApart(key, value []byte) ([]byte, error) {
	p, err := w.values.append(key, value, w.version)
	if err != nil {
		return nil, fmt.Errorf("write checkpoint %d: %w", w.mark.Index, err)
	}
	w.places[string(key)] = p
	w.place = p.append(w.place[:0])
	return w.place, nil
}

// add puts or removes a key in Badger; a full transaction goes first.
func (w *badgerWriter) add(key []byte, stands byte, v []byte, remove bool) error {
	cost := len(key) + sealSize + len(v) + entryOverhead
	if w.cost+cost > w.limit || w.count >= w.maxCount {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := w.stage(key, stands, v, remove); err != nil {
		return err
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
func (w *badgerWriter) stage(key []byte, stands byte, v []byte, remove bool) error {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return w.s.broken
	}
	if w.txn == nil {
		w.txn = w.s.db.NewTransactionAt(w.version, true)
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
	w.arena = appendSealed(w.arena, key, stands, v, w.version)
	return w.txn.Set(k, w.arena[start:len(w.arena):len(w.arena)])
}

// checkSpace reports whether the checkpoint can go on. It does above half of the reserve: one that stops
// is written again from its start.
func (w *badgerWriter) checkSpace() error { return w.s.checkSpace(w.s.opt.MinFree / 2) }

// flush commits the transaction, synced.
func (w *badgerWriter) flush() error {
	if w.txn == nil {
		return nil
	}
	if err := w.checkSpace(); err != nil {
		return fmt.Errorf("write checkpoint %d: %w", w.mark.Index, err)
	}
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return w.s.broken
	}
	err := guarded("commit", func() error { return w.txn.CommitAt(w.version, nil) })
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
	w.end()
	w.s.complete(w)
	w.s.freeSlot()
	return nil
}

// end lets go of everything but the slot.
func (w *badgerWriter) end() {
	w.values.close()
	w.done, w.arena, w.places = true, nil, nil
}

// finish commits the rest together with the mark, when the values that stand apart are durable.
func (w *badgerWriter) finish() error {
	if err := w.values.settle(); err != nil {
		return err
	}
	err := w.values.tables(func(key, use []byte) error { return w.add(key, standsHere, use, use == nil) })
	if err != nil {
		return err
	}
	if err := w.stage(usageKey, standsHere, w.usage.append(nil), false); err != nil {
		return err
	}
	if err := w.stage(markKey, standsHere, w.mark.append(nil), false); err != nil {
		return err
	}
	return w.flush()
}

// complete makes w's checkpoint what readers see.
func (s *Badger) complete(w *badgerWriter) {
	s.stateMu.Lock()
	s.completed, s.intent, s.usage = w.mark, 0, w.usage
	s.stateMu.Unlock()
	s.readers.advance(w.version)
	s.values.complete(w.values.changed, w.version)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db != nil {
		s.discard()
	}
	// The checkpoint is complete with Badger's mark. Without this file the next Open finds mark and
	// intent equal and knows it too, and the next Begin writes the file before anything else.
	if err := s.saveCheckpoint(w.mark, 0); err != nil {
		s.log.Warn("checkpoint file is behind", "index", w.mark.Index, "err", err)
		return
	}
	s.values.reap(s.readers.oldest())
}

// Abort implements Writer.
func (w *badgerWriter) Abort() {
	if w.done {
		return
	}
	w.end()
	if w.txn != nil {
		w.txn.Discard()
	}
	w.retract()
	w.s.freeSlot()
}

// retract takes back what can be: the files of values, and if nothing else was written the intent. If
// that fails it stands, which only asks for the same index again.
func (w *badgerWriter) retract() {
	w.s.mu.RLock()
	defer w.s.mu.RUnlock()
	if w.s.db == nil {
		return // the files may be somebody else's already
	}
	w.values.undo()
	if !w.fresh || w.touched {
		return
	}
	if err := w.s.intend(0); err != nil {
		w.s.log.Warn("intent of an aborted checkpoint stays", "index", w.mark.Index, "err", err)
	}
}

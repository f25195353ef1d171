package pages

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/store/disk"
)

const (
	windowSize  = 256 << 10
	windowCount = 4
	// nearby: a read that is no further behind an earlier one of its file goes on where that one was.
	nearby = 1 << 20
)

// windows read ahead where the system's cache, which does so otherwise, is left out: a queue that is
// consumed in order wants the values that stand behind one another. What is in a window may be older
// than the file: then its records don't have the version that is looked for, and are read again.
type windows struct {
	mu     sync.Mutex // guards what follows; taken last, never held across I/O
	recent []*window  // the one used last comes first
	past   [8]spot    // where the latest reads were
	turn   int
}

// spot is a place in a file.
type spot struct {
	file uint64
	off  int64
}

// window is a part of a value file in memory.
type window struct {
	at spot // where it is to be; guarded by windows.mu

	reading sync.Mutex // held while it is filled: who wants the same waits for that; guards what follows
	has     spot       // what is in b
	b       []byte
	f       disk.File // the file that was read last, kept open; nil for none
	of      uint64    // its number
}

// find returns the window for the bytes from off on, if the read continues an earlier one.
func (ws *windows) find(file uint64, off, size int64) *window {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	continues := ws.continues(file, off)
	ws.past[ws.turn] = spot{file, off}
	ws.turn = (ws.turn + 1) % len(ws.past)
	for i, w := range ws.recent {
		if w.at.file == file && w.at.off <= off && off+size <= w.at.off+windowSize {
			copy(ws.recent[1:i+1], ws.recent[:i])
			ws.recent[0] = w
			return w
		}
	}
	if !continues || size > windowSize-disk.BlockSize {
		return nil
	}
	if len(ws.recent) < windowCount {
		ws.recent = append(ws.recent, &window{})
	}
	last := len(ws.recent) - 1
	w := ws.recent[last]
	copy(ws.recent[1:], ws.recent[:last])
	ws.recent[0] = w
	w.at = spot{file, off &^ (disk.BlockSize - 1)}
	return w
}

func (ws *windows) continues(file uint64, off int64) bool {
	for _, p := range ws.past {
		if p.file == file && p.off < off && off-p.off <= nearby {
			return true
		}
	}
	return false
}

// wanted returns where w is to be.
func (ws *windows) wanted(w *window) spot {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return w.at
}

// take calls fn with the bytes of p, if w has them or can get them, and returns what it returns.
func (ws *windows) take(w *window, v *valueFiles, p place, fn func(b []byte) bool) bool {
	w.reading.Lock()
	defer w.reading.Unlock()
	at := ws.wanted(w)
	if w.has != at && !w.fill(v, at) {
		return false
	}
	from := int64(p.off) - at.off
	if at.file != p.file || from < 0 || from+int64(p.size) > int64(len(w.b)) {
		return false // somebody else needed the window meanwhile
	}
	if fn(w.b[from : from+int64(p.size)]) {
		return true
	}
	w.has = spot{} // written since
	return false
}

// fill reads what belongs into w.
func (w *window) fill(v *valueFiles, at spot) bool {
	if !w.open(v, at.file) {
		return false
	}
	if w.b == nil {
		w.b = aligned(windowSize)
	}
	w.has = spot{}
	n, err := w.f.ReadAt(w.b[:windowSize], at.off)
	if err != nil && !errors.Is(err, io.EOF) {
		v.refused(err)
		return false
	}
	w.b, w.has = w.b[:n], at
	return true
}

// open makes the value file of that number the one that w reads.
func (w *window) open(v *valueFiles, file uint64) bool {
	if w.f != nil && w.of == file {
		return true
	}
	w.close()
	w.f, w.of = v.openDirect(file), file
	return w.f != nil
}

func (w *window) close() {
	if w.f != nil {
		_ = w.f.Close() // it was only read
		w.f = nil
	}
}

// forget closes the files for which gone says so, and waits for whoever reads one.
func (ws *windows) forget(gone func(file uint64) bool) {
	ws.mu.Lock()
	all := slices.Clone(ws.recent)
	ws.mu.Unlock()
	for _, w := range all {
		w.reading.Lock()
		if w.f != nil && gone(w.of) {
			w.close()
		}
		w.reading.Unlock()
	}
}

package cluster

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/integration/wire"
)

// Flow is a producer that keeps a window of persistent messages on their way, as
// fast as they are confirmed or at a rate. It has one connection and gives up at the first error.
type Flow struct {
	confirmed atomic.Int64
	conn      *wire.Conn
	frame     []byte
	free      chan struct{} // a place in the window
	due       chan struct{} // time for a message; nil: always
	stop      chan struct{}
	once      sync.Once
	run       sync.WaitGroup
	err       atomic.Pointer[error]
}

// StartFlow sends messages of size bytes to a queue until Stop, rate of them a second; 0 is as many as are confirmed.
func StartFlow(addr, queue string, size, window, rate int) (*Flow, error) {
	c, err := wire.Open(addr, patience)
	if err != nil {
		return nil, err
	}
	// A body that doesn't compress at all would be as untypical as one that is all the same.
	body := make([]byte, 0, size+64)
	for i := 0; len(body) < size; i++ {
		body = fmt.Appendf(body, `{"order":%d,"item":"%x"},`, i, uint32(i)*2654435761)
	}
	f := wire.New("SEND", "destination", "/queue/"+queue, "persistent", "true", "receipt", "r")
	f.Body = body[:size]
	w := &Flow{conn: c, frame: wire.Encode(f), free: make(chan struct{}, window), stop: make(chan struct{})}
	for range window {
		w.free <- struct{}{}
	}
	if rate > 0 {
		w.due = make(chan struct{}, window)
		w.run.Go(func() { w.pace(rate) })
	}
	w.run.Go(w.send)
	w.run.Go(w.receive)
	return w, nil
}

func (w *Flow) fail(err error) { w.err.CompareAndSwap(nil, &err) }

// Err is why the flow ended before Stop.
func (w *Flow) Err() error {
	if e := w.err.Load(); e != nil {
		return *e
	}
	return nil
}

// Confirmed is how many messages were.
func (w *Flow) Confirmed() int64 { return w.confirmed.Load() }

// pace lets messages become due. What can't be sent in time is not made up for.
func (w *Flow) pace(rate int) {
	const step = 2 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	last, owed := time.Now(), 0.0
	for {
		select {
		case now := <-tick.C:
			owed = min(owed+now.Sub(last).Seconds()*float64(rate), float64(cap(w.due)))
			last = now
		case <-w.stop:
			return
		}
		for ; owed >= 1; owed-- {
			select {
			case w.due <- struct{}{}:
			default: // the window is full
			}
		}
	}
}

// wait returns when a message is due and has a place in the window.
func (w *Flow) wait() bool {
	if w.due != nil {
		select {
		case <-w.due:
		case <-w.stop:
			return false
		}
	}
	select {
	case <-w.free:
		return true
	case <-w.stop:
		return false
	}
}

// another reports whether a further message can be sent at once.
func (w *Flow) another() bool {
	if w.due != nil {
		return false
	}
	select {
	case <-w.free:
		return true
	default:
		return false
	}
}

func (w *Flow) send() {
	batch := make([]byte, 0, 64*len(w.frame))
	for {
		if !w.wait() {
			return
		}
		batch = append(batch[:0], w.frame...)
		for len(batch) < cap(batch)-len(w.frame) && w.another() {
			batch = append(batch, w.frame...)
		}
		if err := w.conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			w.fail(err)
			return
		}
		if _, err := w.conn.Conn.Write(batch); err != nil {
			w.fail(err)
			return
		}
	}
}

var receipt = []byte("RECEIPT\n")

// receive counts confirmations: nothing else comes, but for errors.
func (w *Flow) receive() {
	buffer := make([]byte, 64<<10)
	kept := 0
	for {
		if err := w.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			w.fail(err)
			return
		}
		n, err := w.conn.Conn.Read(buffer[kept:])
		if err != nil {
			select {
			case <-w.stop:
			default:
				w.fail(err)
			}
			return
		}
		b := buffer[:kept+n]
		if bytes.Contains(b, []byte("ERROR\n")) {
			w.fail(fmt.Errorf("the broker says %q", b))
			return
		}
		for end := bytes.IndexByte(b, 0); end >= 0; end = bytes.IndexByte(b, 0) {
			if bytes.HasPrefix(bytes.TrimLeft(b[:end], "\n"), receipt) {
				w.confirmed.Add(1)
				w.free <- struct{}{}
			}
			b = b[end+1:]
		}
		kept = copy(buffer, b)
	}
}

// Stop ends the flow and returns how many messages were confirmed. What was
// on its way may be stored or not.
func (w *Flow) Stop() int64 {
	w.once.Do(func() { close(w.stop) })
	_ = w.conn.SetDeadline(time.Now()) // it is closed next
	w.run.Wait()
	_ = w.conn.Close() // nothing is read any more
	return w.Confirmed()
}

// Rate is messages confirmed per second over a time.
func (w *Flow) Rate(over time.Duration) float64 {
	before, began := w.Confirmed(), time.Now()
	time.Sleep(over) // what is measured
	return float64(w.Confirmed()-before) / time.Since(began).Seconds()
}

// Drained is a consumer that takes what comes to a queue, and acknowledges it with its delivery.
type Drained struct {
	conn *wire.Conn
	run  sync.WaitGroup
}

// Drain consumes from a queue until Stop, or until the connection ends.
func Drain(addr, queue string) (*Drained, error) {
	c, err := wire.Open(addr, patience)
	if err != nil {
		return nil, err
	}
	if err := c.Send(wire.New("SUBSCRIBE", "id", "s", "destination", "/queue/"+queue, "ack", "auto")); err != nil {
		return nil, err
	}
	d := &Drained{conn: c}
	d.run.Go(func() {
		buffer := make([]byte, 256<<10)
		for {
			if _, err := c.Conn.Read(buffer); err != nil {
				return
			}
		}
	})
	return d, nil
}

// Stop ends the consumer.
func (d *Drained) Stop() {
	_ = d.conn.Close() // it wakes the reader
	d.run.Wait()
}

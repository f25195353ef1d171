package replication

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/log"
	"github.com/entrepot-mq/entrepot/core/store/pages"
	"github.com/entrepot-mq/entrepot/election"
	"github.com/entrepot-mq/entrepot/replication/wire"
)

// Transfer is a snapshot on its way to another node.
type Transfer struct {
	To    election.Member
	At    uint64 // index of the state that is sent
	Bytes int64  // sent so far
	Of    int64  // expected, roughly
	Since time.Time

	logged uint64        // bytes of log when it began
	said   time.Duration // since it began, when its progress was last logged
}

// transfers are the snapshots that a master sends, at most one to a node.
type transfers struct {
	r  *Replica
	mu sync.Mutex
	on map[string]*Transfer
}

func (t *transfers) list() []Transfer {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Transfer
	for _, x := range t.on {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Transfer) int { return strings.Compare(a.To.Node, b.To.Node) })
	return out
}

// needed lowers the index behind which the log is kept to what receivers of snapshots need next.
func (t *transfers) needed(index uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.on {
		index = min(index, x.At)
	}
	return index
}

// start sends the last checkpoint to a node. The loop calls it.
func (t *transfers) start(to election.Member) {
	_, epoch := t.r.node.Role()
	mark := t.r.o.Store.Pages().Mark()
	live, _ := t.r.o.Store.Pages().Size()
	x := &Transfer{To: to, At: mark.Index, Of: live, Since: time.Now(), logged: t.r.o.Store.Written()}
	t.mu.Lock()
	if t.on == nil {
		t.on = make(map[string]*Transfer)
	}
	t.on[to.Node] = x
	t.mu.Unlock()
	t.r.wg.Go(func() {
		err := t.r.sendSnapshot(x, epoch, mark)
		if Damaged(err) {
			t.r.o.Store.Fail(err) // no follower would ever get one: another node has to lead
		}
		if err != nil && t.r.life.Err() == nil {
			t.r.o.Logger.Warn("a snapshot was not sent", "to", to.Node, "error", err)
			select { // not at once again
			case <-time.After(time.Second):
			case <-t.r.life.Done():
			}
		}
		at := x.At
		if err != nil {
			at = 0
		}
		t.r.call(func() { t.r.node.SnapshotEnded(election.Now(), to, at) })
		t.mu.Lock()
		delete(t.on, to.Node)
		t.mu.Unlock()
	})
}

// errOlder says that a newer checkpoint was completed before the scan of an older one began.
var errOlder = errors.New("a newer checkpoint was completed meanwhile")

// sendSnapshot streams the checkpoint mark to a node, and waits until it has it.
func (r *Replica) sendSnapshot(x *Transfer, epoch uint64, mark pages.Mark) error {
	c, err := r.connect(x.To.Node, wire.ForSnapshot)
	if err != nil {
		return err
	}
	defer r.peers.drop(c)
	r.o.Logger.Info("sends a snapshot", "to", x.To.Node, "index", mark.Index, "bytes", x.Of)
	out := bufio.NewWriterSize(c, 256<<10)
	buf := wire.AppendHeader(nil, wire.Header{
		Epoch: epoch, Inc: x.To.Inc, Format: mark.Format, Position: log.Position{Epoch: mark.Epoch, Index: mark.Index, Chain: mark.Chain},
	})
	if _, err := out.Write(buf); err != nil {
		return err
	}
	var end wire.End
	err = r.o.Store.Pages().Scan(nil, func(key, value []byte) error {
		if end.Pairs == 0 && r.o.Store.Pages().Mark() != mark {
			return errOlder
		}
		end.Pairs++
		end.Sum += pairSum(key, value)
		buf = wire.AppendPair(buf[:0], key, value)
		if err := c.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return err
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		return r.pace(x, len(buf))
	})
	if err != nil {
		return err
	}
	if _, err := out.Write(wire.AppendEnd(buf[:0], end)); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	// The receiver closes the connection when it has stored everything, or can't.
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	if _, err := c.Read(buf[:1]); !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait until the snapshot is stored: %w", err)
	}
	return nil
}

// sayEvery is the time between two lines of the log about something that takes long.
const sayEvery = 5 * time.Second

// pace keeps a transfer to Options.SnapshotRate, or to twice what the log grows by if that is more: a node that gets the state
// more slowly than it changes would never have it.
func (r *Replica) pace(x *Transfer, n int) error {
	r.transfers.mu.Lock()
	x.Bytes += int64(n)
	took := time.Since(x.Since)
	rate := max(float64(r.o.SnapshotRate), 2*float64(r.o.Store.Written()-x.logged)/max(1, took.Seconds()))
	ahead := time.Duration(float64(x.Bytes)/rate*float64(time.Second)) - took
	say := took-x.said >= sayEvery
	if say {
		x.said = took
		r.o.Logger.Info("sends a snapshot", "to", x.To.Node, "sent", x.Bytes, "of", x.Of, "bytes_per_second", int64(float64(x.Bytes)/took.Seconds()))
	}
	r.transfers.mu.Unlock()
	if ahead < 5*time.Millisecond {
		return r.life.Err()
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-r.life.Done():
		return r.life.Err()
	}
}

func pairSum(key, value []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(key) // never fails
	_, _ = h.Write([]byte{0xff, byte(len(key))})
	_, _ = h.Write(value)
	return h.Sum64()
}

// incoming is the directory, beside the store's, in which a snapshot gathers; complete is the file that says that it is
// to replace the store.
const (
	incoming = "incoming"
	complete = "complete"
)

// receiveSnapshot stores what a master sends, and ends the replica if it is to be installed.
func (r *Replica) receiveSnapshot(c net.Conn, in *bufio.Reader, from string) error {
	next := func(want wire.Type, buf []byte) ([]byte, []byte, error) {
		if err := c.SetReadDeadline(time.Now().Add(idleWithin)); err != nil {
			return nil, buf, err
		}
		kind, body, buf, err := wire.ReadPacket(in, buf)
		if err == nil && kind != want && (want != wire.TypePair || kind != wire.TypeEnd) {
			err = fmt.Errorf("%w: type %d in a snapshot", wire.ErrMalformed, kind)
		}
		if kind == wire.TypeEnd {
			return body, buf, errors.Join(err, errEnd)
		}
		return body, buf, err
	}
	body, buf, err := next(wire.TypeHeader, nil)
	if err != nil {
		return err
	}
	h, err := wire.ParseHeader(body)
	if err != nil {
		return err
	}
	if h.Inc != r.o.Hard.Inc {
		return fmt.Errorf("a snapshot for incarnation %d", h.Inc)
	}
	if !r.receiving.CompareAndSwap(false, true) {
		return errors.New("another snapshot is being received")
	}
	defer r.receiving.Store(false)
	r.o.Logger.Info("receives a snapshot", "from", from, "index", h.Position.Index)
	err = r.storeSnapshot(h, func(w pages.Writer) (wire.End, error) {
		var got wire.End
		for {
			if body, buf, err = next(wire.TypePair, buf); errors.Is(err, errEnd) {
				end, err := wire.ParseEnd(body)
				if err == nil && end != got {
					err = fmt.Errorf("%w: the snapshot is not what was sent", wire.ErrMalformed)
				}
				return got, err
			}
			if err != nil {
				return got, err
			}
			key, value, err := wire.ParsePair(body)
			if err != nil {
				return got, err
			}
			if err := w.Put(key, value); err != nil {
				return got, err
			}
			got.Pairs++
			got.Sum += pairSum(key, value)
		}
	})
	if err != nil {
		return err
	}
	r.call(func() { r.install(h) })
	return nil
}

var errEnd = errors.New("end of the snapshot")

// storeSnapshot makes a store of its own of what fill puts.
func (r *Replica) storeSnapshot(h wire.Header, fill func(pages.Writer) (wire.End, error)) error {
	dir := filepath.Join(r.o.Dir, incoming)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	p, err := pages.Open(store.PagesOptions(dir, r.o.Logger))
	if err != nil {
		return err
	}
	err = func() error {
		w, err := p.Begin(pages.Mark{Index: h.Position.Index, Epoch: h.Position.Epoch, Chain: h.Position.Chain, Format: h.Format})
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := fill(w); err != nil {
			return err
		}
		return w.Commit()
	}()
	if err = errors.Join(err, p.Close()); err != nil {
		return fmt.Errorf("store a snapshot: %w", err)
	}
	l, err := log.Open(log.Options{Dir: filepath.Join(dir, "log"), Start: h.Position, Logger: r.o.Logger})
	if err != nil {
		return fmt.Errorf("begin a log behind a snapshot: %w", err)
	}
	return l.Close()
}

// install ends the replica so that the snapshot can take the store's place, if the node has nothing that it lacks.
func (r *Replica) install(h wire.Header) {
	if r.finished {
		return
	}
	if !r.node.MayInstall(h.Epoch, h.Position) {
		r.o.Logger.Info("a snapshot came too late, or from a master of the past", "index", h.Position.Index, "epoch", h.Epoch)
		return
	}
	if err := markComplete(filepath.Join(r.o.Dir, incoming)); err != nil {
		r.o.Logger.Error("a snapshot can't be installed", "error", err)
		return
	}
	r.finish(Outcome{Reason: errors.New("a snapshot replaces the store"), Installed: true})
}

func markComplete(dir string) error {
	f, err := os.Create(filepath.Join(dir, complete))
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// storeParts are the directories that a store consists of.
var storeParts = []string{"pages", "log"}

// Adopt makes a snapshot that is complete the store of dir, and removes what is left of one that isn't. It is called before
// the store is opened, each time: a crash in the middle is mended by the next call.
func Adopt(dir string) error {
	from := filepath.Join(dir, incoming)
	if _, err := os.Stat(filepath.Join(from, complete)); errors.Is(err, os.ErrNotExist) {
		return os.RemoveAll(from)
	} else if err != nil {
		return err
	}
	for _, part := range storeParts {
		arrived := filepath.Join(from, part)
		if _, err := os.Stat(arrived); errors.Is(err, os.ErrNotExist) {
			continue // moved already
		} else if err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			return err
		}
		if err := os.Rename(arrived, filepath.Join(dir, part)); err != nil {
			return err
		}
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	return os.RemoveAll(from)
}

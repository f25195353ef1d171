package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/entrepot-mq/entrepot/election"
)

// DefaultTTL is the lease's time to live.
const DefaultTTL = 8 * time.Second

// closeTimeout bounds what Close still asks of etcd.
const closeTimeout = 2 * time.Second

// Options of a Coordinator.
type Options struct {
	// Client reaches etcd: from Dial, or of an embedded member. It stays the caller's.
	Client *clientv3.Client
	Prefix string // of all keys; a "/" is added at its end [/entrepot]
	Group  string // the broker's name
	Node   string // this node's name
	// TTL is that of leases [DefaultTTL]. etcd counts in seconds, and takes
	// no less than one and a half of its own election timeouts.
	TTL time.Duration
	// Memory is a file that remembers which etcd this is and how far it was,
	// so that one that went back in time is noticed after a restart too; "" remembers
	// while the process lives.
	Memory string
	// Leased is told of each lease that is granted and, with 0, of its end. It
	// must not block; nil tells nobody.
	Leased func(id int64)
	Logger *slog.Logger
}

// Coordinator is an election.Coordinator in etcd.
type Coordinator struct {
	client *clientv3.Client
	keys   keys
	o      Options
	log    *slog.Logger
	seen   *memory
	ttl    int64 // seconds

	life context.Context // ends with Close
	end  context.CancelFunc
	work sync.WaitGroup // watches and leases

	mu     sync.Mutex
	leases map[*lease]struct{}

	hintMu sync.Mutex // one SetHint at a time
	hint   *lease     // of the node's hint, nil before the first
}

var _ election.Coordinator = (*Coordinator)(nil)

// New returns a Coordinator. Nothing is asked of etcd yet.
func New(o Options) (*Coordinator, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Prefix == "" {
		o.Prefix = "/entrepot"
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	seen, err := openMemory(o.Memory)
	if err != nil {
		return nil, fmt.Errorf("read what was seen of etcd: %w", err)
	}
	c := &Coordinator{
		client: o.Client, keys: keysOf(o.Prefix, o.Group), o: o, log: o.Logger, seen: seen,
		ttl: int64((o.TTL + time.Second - 1) / time.Second), leases: make(map[*lease]struct{}),
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// keys of one group.
type keys struct{ prefix, config, lock, nodes, floors string }

func keysOf(prefix, group string) keys {
	p := strings.TrimRight(prefix, "/") + "/" + group + "/"
	return keys{prefix: p, config: p + "cfg", lock: p + "lock", nodes: p + "nodes/", floors: p + "floor/"}
}

// reads are the operations of a transaction that return a State.
func (c *Coordinator) reads() []clientv3.Op {
	return []clientv3.Op{
		clientv3.OpGet(c.keys.config), clientv3.OpGet(c.keys.lock),
		clientv3.OpGet(c.keys.nodes, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend)),
	}
}

// state makes a State of what reads returned.
func (c *Coordinator) state(responses []*etcdserverpb.ResponseOp) (s election.State, err error) {
	answers := make([][]*kv, 0, 3)
	for _, r := range responses {
		if r := r.GetResponseRange(); r != nil {
			answers = append(answers, r.Kvs)
		}
	}
	if len(answers) != 3 {
		return s, fmt.Errorf("etcd answered %d of 3 reads", len(answers))
	}
	for _, kv := range answers[0] {
		s.ConfigRevision = election.Revision(kv.ModRevision)
		if err := json.Unmarshal(kv.Value, &s.Config); err != nil {
			return s, fmt.Errorf("the group's configuration at %s makes no sense: %w", kv.Key, err)
		}
	}
	for _, kv := range answers[1] {
		s.LockRevision, s.Lock = election.Revision(kv.ModRevision), new(election.Lock)
		if err := json.Unmarshal(kv.Value, s.Lock); err != nil {
			return s, fmt.Errorf("the group's lock at %s makes no sense: %w", kv.Key, err)
		}
	}
	for _, kv := range answers[2] {
		var h election.Hint
		if err := json.Unmarshal(kv.Value, &h); err != nil {
			c.log.Warn("a node's hint makes no sense", "key", string(kv.Key), "error", err)
			continue
		}
		s.Hints = append(s.Hints, h)
	}
	slices.SortFunc(s.Hints, func(a, b election.Hint) int { return strings.Compare(a.Node, b.Node) })
	return s, nil
}

// Read implements election.Coordinator.
func (c *Coordinator) Read(ctx context.Context) (election.State, error) {
	s, _, err := c.read(ctx)
	return s, err
}

// read returns also the revision of the store that s shows.
func (c *Coordinator) read(ctx context.Context) (election.State, int64, error) {
	mark := c.seen.mark()
	r, err := c.client.Txn(ctx).Then(c.reads()...).Commit()
	if err != nil {
		return election.State{}, 0, fmt.Errorf("read the group's configuration: %w: %w", election.ErrUnavailable, err)
	}
	if err := c.seen.check(mark, r.Header.ClusterId, r.Header.Revision); err != nil {
		return election.State{}, 0, err
	}
	s, err := c.state(r.Responses)
	return s, r.Header.Revision, err
}

// write runs one guarded transaction. mine reports whether a state is what the
// write makes, so that an answer that was lost, or a write done twice, is recognised.
func (c *Coordinator) write(ctx context.Context, what string, guards []clientv3.Cmp, puts []clientv3.Op, mine func(*election.State) bool) (election.State, error) {
	if err := ctx.Err(); err != nil {
		return election.State{}, fmt.Errorf("%s: %w: %w", what, election.ErrUnavailable, err)
	}
	mark := c.seen.mark()
	if err := c.seen.believed(); err != nil {
		return election.State{}, fmt.Errorf("%s: %w", what, err)
	}
	r, err := c.client.Txn(ctx).If(guards...).Then(slices.Concat(puts, c.reads())...).Else(c.reads()...).Commit()
	if err != nil {
		return c.lookFor(ctx, what, err, mine)
	}
	if err := c.seen.check(mark, r.Header.ClusterId, r.Header.Revision); err != nil {
		return election.State{}, fmt.Errorf("%s: %w", what, err)
	}
	s, err := c.state(r.Responses)
	if err == nil && !r.Succeeded && !mine(&s) {
		err = election.ErrConflict
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	return s, nil
}

// lookFor says what became of a write that failed.
func (c *Coordinator) lookFor(ctx context.Context, what string, cause error, mine func(*election.State) bool) (election.State, error) {
	switch {
	case errors.Is(cause, rpctypes.ErrLeaseNotFound):
		return election.State{}, fmt.Errorf("%s: %w", what, election.ErrLeaseLost)
	case errors.Is(cause, rpctypes.ErrNoSpace), errors.Is(cause, rpctypes.ErrTooManyRequests):
		return election.State{}, fmt.Errorf("%s: %w: %w", what, election.ErrUnavailable, cause)
	}
	s, _, err := c.read(ctx)
	if err == nil && mine(&s) {
		c.log.Debug("a write without an answer has happened", "write", what)
		return s, nil
	}
	return election.State{}, fmt.Errorf("%s: %w: %w", what, election.ErrUnknown, cause)
}

// guard wants key to be at a revision; 0 wants it not to exist.
func guard(key string, at election.Revision) clientv3.Cmp {
	if at == 0 {
		return clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
	}
	return clientv3.Compare(clientv3.ModRevision(key), "=", int64(at))
}

func put(key string, v any, options ...clientv3.OpOption) (clientv3.Op, error) {
	text, err := json.Marshal(v)
	return clientv3.OpPut(key, string(text), options...), err
}

// Create implements election.Coordinator.
func (c *Coordinator) Create(ctx context.Context, cfg election.Configuration) (election.State, error) {
	store, err := put(c.keys.config, cfg)
	if err != nil {
		return election.State{}, err
	}
	return c.write(ctx, "create the group", []clientv3.Cmp{guard(c.keys.config, 0)}, []clientv3.Op{store},
		func(s *election.State) bool { return s.Config.Equal(&cfg) })
}

// Campaign implements election.Coordinator.
func (c *Coordinator) Campaign(ctx context.Context, l election.Lease, at election.Revision, lock election.Lock, cfg election.Configuration) (election.State, error) {
	lock.Lease = l.ID()
	if l.Deadline() <= election.Now() {
		return election.State{}, fmt.Errorf("campaign: %w", election.ErrLeaseLost)
	}
	hold, err1 := put(c.keys.lock, lock, clientv3.WithLease(clientv3.LeaseID(l.ID())))
	store, err2 := put(c.keys.config, cfg)
	if err := errors.Join(err1, err2); err != nil {
		return election.State{}, err
	}
	return c.write(ctx, "campaign", []clientv3.Cmp{guard(c.keys.lock, 0), guard(c.keys.config, at)}, []clientv3.Op{hold, store},
		func(s *election.State) bool {
			return s.Lock != nil && s.Lock.Lease == lock.Lease && s.Lock.Epoch == lock.Epoch && s.Config.Equal(&cfg)
		})
}

// Change implements election.Coordinator.
func (c *Coordinator) Change(ctx context.Context, lock, at election.Revision, cfg election.Configuration) (election.State, error) {
	store, err := put(c.keys.config, cfg)
	if err != nil {
		return election.State{}, err
	}
	if lock == 0 {
		return election.State{}, fmt.Errorf("change the configuration: %w: no lock is held", election.ErrConflict)
	}
	return c.write(ctx, "change the configuration", []clientv3.Cmp{guard(c.keys.lock, lock), guard(c.keys.config, at)}, []clientv3.Op{store},
		func(s *election.State) bool { return s.LockRevision == lock && s.Config.Equal(&cfg) })
}

// Recover implements election.Coordinator.
func (c *Coordinator) Recover(ctx context.Context, at election.Revision, cfg election.Configuration) (election.State, error) {
	store, err := put(c.keys.config, cfg)
	if err != nil {
		return election.State{}, err
	}
	return c.write(ctx, "recover the group", []clientv3.Cmp{guard(c.keys.lock, 0), guard(c.keys.config, at)}, []clientv3.Op{store},
		func(s *election.State) bool { return s.Lock == nil && s.Config.Equal(&cfg) })
}

// SetHint implements election.Coordinator.
func (c *Coordinator) SetHint(ctx context.Context, h election.Hint) error {
	c.hintMu.Lock()
	defer c.hintMu.Unlock()
	for {
		fresh := c.hint == nil || c.hint.Deadline() == 0
		if fresh {
			l, err := c.grant(ctx, false)
			if err != nil {
				return err
			}
			c.hint = l
		}
		op, err := put(c.keys.nodes+h.Node, h, clientv3.WithLease(c.hint.id))
		if err != nil {
			return err
		}
		_, err = c.client.Do(ctx, op)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, rpctypes.ErrLeaseNotFound) && !fresh:
			c.hint.lose() // another one
		default:
			return fmt.Errorf("store the node's hint: %w: %w", election.ErrUnknown, err)
		}
	}
}

// Floor implements election.Coordinator.
func (c *Coordinator) Floor(ctx context.Context, node string) (f election.Floor, ok bool, err error) {
	mark := c.seen.mark()
	r, err := c.client.Get(ctx, c.keys.floors+node)
	if err != nil {
		return f, false, fmt.Errorf("read the floor of %q: %w: %w", node, election.ErrUnavailable, err)
	}
	if err := c.seen.check(mark, r.Header.ClusterId, r.Header.Revision); err != nil {
		return f, false, err
	}
	if len(r.Kvs) == 0 {
		return f, false, nil
	}
	if err := json.Unmarshal(r.Kvs[0].Value, &f); err != nil {
		return f, false, fmt.Errorf("the floor of %q makes no sense: %w", node, err)
	}
	return f, true, nil
}

// SetFloor implements election.Coordinator.
func (c *Coordinator) SetFloor(ctx context.Context, node string, f election.Floor) error {
	op, err := put(c.keys.floors+node, f)
	if err != nil {
		return err
	}
	if _, err := c.client.Do(ctx, op); err != nil {
		return fmt.Errorf("store the floor of %q: %w: %w", node, election.ErrUnknown, err)
	}
	return nil
}

// Forget makes the present etcd the one that is believed, whatever was seen
// before. An operator does that who has put the newest configuration there.
func (c *Coordinator) Forget() error { return c.seen.forget() }

// Close implements election.Coordinator. Leases that are still held are revoked.
func (c *Coordinator) Close() error {
	c.mu.Lock()
	var held []*lease
	for l := range c.leases {
		held = append(held, l)
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.life, closeTimeout)
	defer cancel()
	var errs []error
	for _, l := range held {
		errs = append(errs, l.Revoke(ctx))
	}
	c.end()
	c.work.Wait()
	return errors.Join(errs...)
}

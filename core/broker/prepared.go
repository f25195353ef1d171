package broker

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// prepared is the part of the machine that keeps prepared transactions: what
// they will do when they are committed, by any connection, after a restart or
// on another node. What they acknowledge stays out of circulation meanwhile.
//
// A change is a byte that says what it is, the length of the name and the
// name; of a preparation the length of the user's name and that, and the ops.
type prepared struct {
	b *Broker

	mu      sync.Mutex // before Queue.mu
	list    map[string]*branch
	changed map[string]struct{} // names, since the last freeze
}

// branch is one prepared transaction.
type branch struct {
	user string // who may end it
	data []byte // of the change that made it
	ops  []store.Op
	held []heldPos    // taken out of circulation by this node, because no consumer has them
	live []queue.InTx // deliveries of the consumers that it acknowledges, where they are
	ends bool         // a commit or rollback is on its way to the log
}

type heldPos struct {
	q   *queue.Queue
	pos uint64
}

const (
	preparedKind = 'x'

	branchPrepare  = 'p'
	branchCommit   = 'c'
	branchRollback = 'r'

	maxBranchName = 255    // bytes
	maxPrepared   = 10_000 // transactions that wait for their end
)

var errBranch = errors.New("malformed prepared transaction")

func newPrepared(b *Broker) *prepared {
	return &prepared{b: b, list: make(map[string]*branch), changed: make(map[string]struct{})}
}

// branchOp is the change of a branch.
func branchOp(change byte, name, user string, ops []store.Op) store.Op {
	data := append([]byte{change, byte(len(name))}, name...)
	if change == branchPrepare {
		data = binary.AppendUvarint(data, uint64(len(user)))
		data = append(data, user...)
		data = store.AppendOps(data, ops)
	}
	return store.Op{Kind: store.OpState, N: preparedKind, Data: data}
}

// parseBranch reads a change. Of a preparation br says what it is.
func parseBranch(data []byte) (change byte, name string, br *branch, err error) {
	if len(data) < 2 || len(data) < 2+int(data[1]) {
		return 0, "", nil, errBranch
	}
	change, name = data[0], string(data[2:2+data[1]])
	rest := data[2+data[1]:]
	if change != branchPrepare {
		return change, name, nil, nil
	}
	n, used := binary.Uvarint(rest)
	if used <= 0 || n > uint64(len(rest)-used) {
		return 0, "", nil, errBranch
	}
	br = &branch{data: data, user: string(rest[used : used+int(n)])}
	br.ops, err = store.DecodeOps(nil, rest[used+int(n):])
	return change, name, br, err
}

// kind implements part.
func (p *prepared) kind() byte { return preparedKind }

// apply implements part.
func (p *prepared) apply(data []byte) {
	change, name, br, err := parseBranch(slices.Clone(data))
	if err != nil {
		return
	}
	p.mu.Lock()
	old := p.list[name]
	p.changed[name] = struct{}{}
	if change != branchPrepare {
		delete(p.list, name)
	} else if old == nil {
		p.hold(br)
		p.list[name] = br
	}
	p.mu.Unlock()
	// What a commit does stands behind this in the record.
	if change == branchRollback && old != nil {
		for _, h := range old.held {
			h.q.GiveBack([]uint64{h.pos})
		}
	}
}

// hold takes what br acknowledges out of circulation, as far as no consumer
// has it: after a restart, and where no clients are served.
func (p *prepared) hold(br *branch) {
	for _, op := range br.ops {
		if op.Kind != store.OpAck {
			continue
		}
		q := p.b.queues.id(op.Queue)
		if q == nil {
			continue
		}
		for pos := op.Pos; pos <= op.Pos+uint64(op.N); pos++ {
			if q.Hold(pos) {
				br.held = append(br.held, heldPos{q, pos})
			}
		}
	}
}

// freeze implements part.
func (p *prepared) freeze(changes []stateChange) []stateChange {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, 0, len(p.changed))
	for name := range p.changed {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := stateChange{kind: preparedKind, name: name, remove: true}
		if br := p.list[name]; br != nil {
			c.value, c.remove = br.data, false
		}
		changes = append(changes, c)
	}
	clear(p.changed)
	return changes
}

// load implements part.
func (p *prepared) load(_ string, value []byte) error {
	change, name, br, err := parseBranch(slices.Clone(value))
	if err != nil {
		return err
	}
	if change != branchPrepare {
		return errBranch
	}
	p.hold(br)
	p.list[name] = br
	return nil
}

// Prepare makes the transaction one that waits, under a name, for its end by
// EndPrepared: by this session or another one, even after a restart. done is
// completed when that is safe, or with an error and the transaction was rolled
// back. A transaction in which nothing was done is ended instead: then empty
// is true, and done is not called.
func (t *Transaction) Prepare(name string, done Done, token uint64) (empty bool, err error) {
	const op = "prepare a transaction"
	if name == "" || len(name) > maxBranchName {
		return false, fail(CodeInvalid, op, "its name has %d bytes, 1 to %d are possible", len(name), maxBranchName)
	}
	p := t.s.b.prepared
	p.mu.Lock()
	exists, n := p.list[name] != nil, len(p.list)
	p.mu.Unlock()
	switch {
	case exists:
		return false, fail(CodeExists, op, "one of that name is prepared already")
	case n >= maxPrepared:
		return false, fail(CodeLimit, op, "%d transactions are prepared; commit them or roll them back", n)
	case !t.finish():
		return false, errFinished
	}
	if len(t.msgs)+len(t.settled) == 0 {
		return true, nil
	}
	var ops []store.Op
	for i := range t.settled {
		ops = t.settled[i].Ops(ops, t.s.b)
	}
	ops = t.preparedSends(ops)
	t.done, t.token = done, token
	t.s.commit(store.Request{
		Ops: []store.Op{branchOp(branchPrepare, name, t.s.userName(), ops)}, Durability: store.Synced, Done: &preparing{t, name},
	})
	return false, nil
}

// preparing completes a preparation.
type preparing struct {
	t    *Transaction
	name string
}

// Complete implements store.Done.
func (c *preparing) Complete(_ uint64, err error) {
	p := c.t.s.b.prepared
	if err != nil {
		rollback(c.t.settled)
	} else {
		p.mu.Lock()
		if br := p.list[c.name]; br != nil {
			br.live = c.t.settled
		}
		p.mu.Unlock()
	}
	if c.t.done != nil {
		c.t.done.Complete(c.t.token, err)
	}
}

// EndPrepared commits a prepared transaction, or rolls it back. done, which
// may be nil, is completed when that is safe.
func (s *Session) EndPrepared(name string, commit bool, done Done, token uint64) error {
	op := "roll back a prepared transaction"
	if commit {
		op = "commit a prepared transaction"
	}
	p := s.b.prepared
	br, err := p.end(op, name, s.userName(), false)
	if err != nil {
		return err
	}
	s.commit(p.request(name, br, commit, done, token))
	return nil
}

// request is what ends a branch that was claimed for it.
func (p *prepared) request(name string, br *branch, commit bool, done Done, token uint64) store.Request {
	change := byte(branchRollback)
	if commit {
		change = branchCommit
	}
	ops := []store.Op{branchOp(change, name, "", nil)}
	if commit {
		ops = append(ops, p.effects(br)...)
	}
	return store.Request{Ops: ops, Durability: store.Synced, Done: &ending{p, br, commit, done, token}}
}

// end claims the branch of that name for its end by user, or with all by somebody
// who may end those of all users.
func (p *prepared) end(op, name, user string, all bool) (*branch, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	br := p.list[name]
	switch {
	case br == nil || br.ends:
		return nil, fail(CodeNotFound, op, "no transaction of that name is prepared")
	case br.user != user && !all:
		return nil, fail(CodeForbidden, op, "another user prepared it")
	}
	br.ends = true
	return br, nil
}

// effects returns the ops of a branch as they are carried out.
func (p *prepared) effects(br *branch) (ops []store.Op) {
	for rest := br.ops; len(rest) > 0; {
		id, units, n := cutSend(rest)
		if n == 0 {
			ops, rest = append(ops, rest[0]), rest[1:]
			continue
		}
		ops, rest = p.b.guarded(ops, units, id), rest[n:]
	}
	return ops
}

// ending completes the end of a branch.
type ending struct {
	p      *prepared
	br     *branch
	commit bool
	done   Done
	token  uint64
}

// Complete implements store.Done.
func (e *ending) Complete(_ uint64, err error) {
	e.p.mu.Lock()
	live := e.br.live
	e.br.ends = false
	e.p.mu.Unlock()
	switch {
	case err != nil:
	case e.commit:
		queue.Commit(live)
	default:
		rollback(live)
	}
	if e.done != nil {
		e.done.Complete(e.token, err)
	}
}

// Prepared returns the names of the transactions that the session's user
// prepared and that wait for their end.
func (s *Session) Prepared() []string {
	p := s.b.prepared
	p.mu.Lock()
	defer p.mu.Unlock()
	names := []string{}
	for name, br := range p.list {
		if br.user == s.userName() && !br.ends {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

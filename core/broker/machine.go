package broker

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/pages"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// machine is the broker's state as the log drives it. Its fields belong to
// the applier.
type machine struct {
	b       *Broker
	nextID  uint64 // the last number given to a queue
	idDirty bool
	touched []*queue.Queue // to be pumped
	listed  []*queue.Queue // to be frozen
	parts   map[uint32]part
	virtual map[*queue.Queue]*topic.Binding // queues bound to virtual topics
	skip    int                             // ops of a repeated send that are still to be passed over
	again   uint32                          // levels of guards whose last one was for a repeated send
}

// Apply implements store.Machine.
func (m *machine) Apply(op *store.Op) {
	if m.skip > 0 && op.Kind != store.OpTransient {
		m.skip--
		return
	}
	switch op.Kind {
	case store.OpPublish:
		m.publish(op.Msg)
	case store.OpTransient:
		switch {
		case op.N&m.again != 0: // of a repeated send
		case op.Msg == nil:
			m.b.duplicates.pass(op.Data)
		default:
			m.b.route(op.Msg)
		}
	case store.OpAck:
		if q := m.b.queues.id(op.Queue); q != nil {
			if q.ApplyAck(op.Pos, op.N) {
				m.touch(q)
			}
			m.list(q)
		}
	case store.OpAttempt:
		if q := m.b.queues.id(op.Queue); q != nil {
			q.ApplyAttempt(op.Pos, op.N)
			m.touch(q)
		}
	case store.OpCreate:
		if d, err := parseDestination(op.Data); err == nil {
			m.known(d)
		}
	case store.OpDelete:
		m.delete(op.Queue)
	case store.OpSubscribe:
		if spec, err := parseDurable(op.Data); err == nil {
			m.subscribe(spec)
		}
	case store.OpUnsubscribe:
		m.unsubscribe(op.Queue)
	case store.OpBarrier: // of the group, not of its state
	case store.OpState:
		if p := m.parts[op.N]; p != nil {
			p.apply(op.Data)
		}
	}
}

// publish stores a durable message: in its queue, or in the durable
// subscriptions bound to its topic at this index of the log.
func (m *machine) publish(msg *message.Message) {
	d := msg.Destination
	if d.Kind.IsQueue() {
		q := m.known(d)
		if m.b.advisories.wanted() {
			m.b.adviseSent(msg, q.Consumers())
		}
		q.ApplyPublish(msg, queue.ByReference(msg, 1))
		m.touch(q)
		return
	}
	if retains(msg) {
		m.b.retained.set(msg)
	}
	m.b.recovery.add(msg)
	r := m.b.topics.Routes(d.Name)
	if m.b.advisories.wanted() {
		m.b.adviseSent(msg, len(r.Bindings)+len(r.Subscribers))
	}
	n := 0
	for _, to := range r.Bindings {
		if to.Filter == nil || to.Filter.Matches(msg) {
			n++
		}
	}
	for _, to := range r.Bindings {
		if to.Filter == nil || to.Filter.Matches(msg) {
			to.Queue.ApplyPublish(msg, queue.ByReference(msg, n))
			m.touch(to.Queue)
			m.b.stored.bound(to.Queue)
		}
	}
	r.Publish(msg)
}

// known returns the queue of that name, which has a number from now on.
func (m *machine) known(d message.Destination) *queue.Queue {
	q, _ := m.b.queueFor(d)
	if q.ID() == 0 {
		m.number(q)
	}
	return q
}

func (m *machine) number(q *queue.Queue) {
	m.nextID++
	m.idDirty = true
	q.SetID(m.nextID)
	m.b.queues.mu.Lock()
	m.b.queues.byID[m.nextID] = q
	m.b.queues.mu.Unlock()
	m.bindVirtual(q)
	m.list(q)
}

func (m *machine) touch(q *queue.Queue) {
	if !q.Touched {
		q.Touched = true
		m.touched = append(m.touched, q)
	}
	m.list(q)
}

func (m *machine) list(q *queue.Queue) {
	if !q.Listed {
		q.Listed = true
		m.listed = append(m.listed, q)
	}
}

func (m *machine) delete(id uint64) {
	q := m.b.queues.id(id)
	if q == nil {
		return
	}
	m.b.queues.mu.Lock()
	delete(m.b.queues.byID, id)
	if m.b.queues.byName[q.Destination()] == q {
		delete(m.b.queues.byName, q.Destination())
	}
	m.b.queues.mu.Unlock()
	m.unbindVirtual(q)
	m.b.virtuals.forget(q.Destination())
	q.ApplyDelete()
	m.list(q)
	if q.Destination().Kind.IsQueue() {
		m.b.adviseDestination(q.Destination(), true)
	}
}

func (m *machine) subscribe(spec durableSpec) {
	if d := m.b.queues.durable(spec.key()); d != nil {
		if d.spec == spec {
			return
		}
		m.unsubscribe(d.queue.ID())
	}
	q := queue.New(message.Topic(spec.Pattern), m.b, m.b.budget)
	q.Extra = spec.encode()
	m.number(q)
	m.bind(spec, q)
}

// bind makes a durable subscription of q.
func (m *machine) bind(spec durableSpec, q *queue.Queue) {
	d := &durable{spec: spec, queue: q, bound: &topic.Binding{Queue: q, Pattern: spec.Pattern, Filter: m.b.durableFilter(&spec)}}
	m.b.queues.mu.Lock()
	m.b.queues.durables[spec.key()] = d
	m.b.queues.mu.Unlock()
	m.b.table(d.queue.Destination()).Bind(d.bound)
	if spec.NoLocal {
		m.b.noLocal.Add(1) // as long as it exists: its owner may publish while it has no consumer
	}
}

func (m *machine) unsubscribe(id uint64) {
	q := m.b.queues.id(id)
	if q == nil {
		return
	}
	m.b.queues.mu.Lock()
	var gone *durable
	for k, d := range m.b.queues.durables {
		if d.queue == q {
			gone = d
			delete(m.b.queues.durables, k)
		}
	}
	m.b.queues.mu.Unlock()
	if gone != nil {
		m.b.table(q.Destination()).Unbind(gone.bound)
		if gone.spec.NoLocal {
			m.b.noLocal.Add(-1)
		}
	}
	m.delete(id)
}

// Settle implements store.Machine.
func (m *machine) Settle() {
	for i, q := range m.touched {
		q.Touched = false
		q.Pump()
		m.touched[i] = nil
	}
	m.touched = m.touched[:0]
}

// Freeze implements store.Machine.
func (m *machine) Freeze() store.Frozen {
	f := &frozen{b: m.b}
	if m.idDirty {
		f.nextID, m.idDirty = m.nextID, false
	}
	for i, q := range m.listed {
		q.Listed = false
		if fq := q.Freeze(); fq != nil {
			f.queues = append(f.queues, fq)
		}
		m.listed[i] = nil
	}
	m.listed = m.listed[:0]
	for _, p := range m.parts {
		f.parts = p.freeze(f.parts)
		if w, ok := p.(writtenPart); ok {
			f.waiting = append(f.waiting, w)
		}
	}
	return f
}

// frozen is the state's changes at a checkpoint.
type frozen struct {
	b      *Broker
	nextID uint64 // 0: unchanged
	queues []*queue.Frozen
	parts  []stateChange
	// waiting are told when it is stored.
	waiting []writtenPart
}

// Kinds of store.StateKey.
const stateNextID = 'n'

// Write implements store.Frozen.
func (f *frozen) Write(p pages.Store, w pages.Writer) error {
	if f.nextID != 0 {
		if err := w.Put(store.StateKey(nil, stateNextID, ""), binary.BigEndian.AppendUint64(nil, f.nextID)); err != nil {
			return err
		}
	}
	for _, c := range f.parts {
		if err := c.write(w); err != nil {
			return err
		}
	}
	refs := queue.NewRefs()
	for _, q := range f.queues {
		if err := q.Write(p, w, refs); err != nil {
			return err
		}
	}
	return refs.Write(p, w)
}

// Written implements store.Frozen.
func (f *frozen) Written() {
	for _, w := range f.waiting {
		w.written()
	}
	for _, q := range f.queues {
		q.Written()
	}
	if f.b.budget.Tight() {
		f.b.Pressed() // more can be let go now
	}
}

// Load implements store.Machine.
func (m *machine) Load(p pages.Store) error {
	if err := m.loadNextID(p); err != nil {
		return err
	}
	if err := p.Scan(store.QueuePrefix, m.loadQueue); err != nil {
		return err
	}
	err := p.Scan(store.ChunkPrefix, func(key, value []byte) error {
		id, lane, chunk, ok := store.ParseChunkKey(key)
		q := m.b.queues.byID[id]
		if !ok || q == nil {
			return fmt.Errorf("page directory of an unknown queue: key %x", key)
		}
		return q.RestoreChunk(lane, chunk, value)
	})
	if err != nil {
		return err
	}
	return m.loadParts(p)
}

func (m *machine) loadNextID(p pages.Store) error {
	v, err := p.Get(nil, store.StateKey(nil, stateNextID, ""))
	if errors.Is(err, pages.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(v) != 8 {
		return fmt.Errorf("stored queue number has %d bytes", len(v))
	}
	m.nextID = binary.BigEndian.Uint64(v)
	return nil
}

func (m *machine) loadQueue(key, value []byte) error {
	id, ok := store.ParseQueueKey(key)
	if !ok {
		return fmt.Errorf("malformed queue key %x", key)
	}
	q := queue.New(message.Destination{}, m.b, m.b.budget)
	if err := q.Restore(id, value); err != nil {
		return fmt.Errorf("queue %d: %w", id, err)
	}
	m.b.queues.byID[id] = q
	if len(q.Extra) == 0 {
		m.b.queues.byName[q.Destination()] = q
		m.bindVirtual(q)
		return nil
	}
	if m.b.stored.loadQueue(q) {
		return nil
	}
	spec, err := parseDurable(q.Extra)
	if err != nil {
		return fmt.Errorf("durable subscription %d: %w", id, err)
	}
	m.bind(spec, q)
	return nil
}

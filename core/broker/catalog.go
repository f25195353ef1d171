package broker

import (
	"slices"
	"sync"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/store"
)

// catalog is the part of the state that knows the topics that were made on
// purpose. Others exist while somebody subscribes to them.
type catalog struct {
	m *machine

	mu    sync.RWMutex
	names map[string]struct{}
	dirty map[string]struct{} // owned by the applier
}

func newCatalog(m *machine) *catalog {
	return &catalog{m: m, names: make(map[string]struct{}), dirty: make(map[string]struct{})}
}

// Changes of the catalog in the log: a letter, then the topic's name.
const (
	catalogAdd     = '+'
	catalogRemove  = '-'
	catalogCollect = 'c' // the name of a queue, which goes if nothing durable is in it
)

func (c *catalog) op(change byte, name string) store.Op {
	return store.Op{Kind: store.OpState, N: uint32(c.kind()), Data: append([]byte{change}, name...)}
}

// kind implements part.
func (c *catalog) kind() byte { return 't' }

// apply implements part.
func (c *catalog) apply(data []byte) {
	if len(data) < 2 {
		return
	}
	name := string(data[1:])
	if data[0] == catalogCollect {
		c.m.collect(message.Queue(name))
		return
	}
	c.m.b.adviseDestination(message.Topic(name), data[0] == catalogRemove)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch data[0] {
	case catalogAdd:
		c.names[name] = struct{}{}
	case catalogRemove:
		delete(c.names, name)
	}
	c.dirty[name] = struct{}{}
}

// freeze implements part.
func (c *catalog) freeze(changes []stateChange) []stateChange {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name := range c.dirty {
		_, there := c.names[name]
		changes = append(changes, stateChange{kind: 't', name: name, value: []byte{catalogAdd}, remove: !there})
	}
	clear(c.dirty)
	return changes
}

// load implements part.
func (c *catalog) load(name string, _ []byte) error {
	c.names[name] = struct{}{}
	return nil
}

func (c *catalog) has(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, ok := c.names[name]
	return ok
}

func (c *catalog) all() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	all := make([]string, 0, len(c.names))
	for name := range c.names {
		all = append(all, name)
	}
	return all
}

// Topics returns the names of the topics that were made on purpose, in their
// order, for definitions.
func (b *Broker) Topics() []string {
	all := b.catalog.all()
	slices.Sort(all)
	return all
}

// CreateTopic makes a topic, which is then listed and can be used where the
// policy has none made on first use. made says that it was not made before.
func (b *Broker) CreateTopic(name string) (made bool, err error) {
	d := message.Topic(name)
	op := "create " + d.String()
	if err := checkName(op, name); err != nil {
		return false, err
	}
	if b.catalog.has(name) {
		return false, nil
	}
	return true, b.commitOps(op, b.catalog.op(catalogAdd, name))
}

// DeleteTopic removes a topic, what it remembers included. Unless force is
// given, one with subscribers or durable subscriptions is refused; with it,
// those are removed and the connections of those are closed. Subscriptions to
// patterns stay.
func (b *Broker) DeleteTopic(name string, force bool) error {
	d := message.Topic(name)
	op := "delete " + d.String()
	if err := checkName(op, name); err != nil {
		return err
	}
	var ops []store.Op
	for _, x := range b.everyDurable() {
		if x.spec.Pattern == name {
			ops = append(ops, store.Op{Kind: store.OpUnsubscribe, Queue: x.queue.ID()})
		}
	}
	subscribers := 0
	for _, s := range b.everySession() {
		for _, c := range s.subscriptions() {
			if c.Destination == d {
				subscribers++
			}
		}
	}
	_, remembered := b.retained.get(name)
	switch {
	case !b.catalog.has(name) && subscribers+len(ops) == 0 && !remembered:
		return fail(CodeNotFound, op, "there is no such topic")
	case force:
	case subscribers > 0:
		return fail(CodeInUse, op, "it has %d subscribers; end them first, or force it", subscribers)
	case len(ops) > 0:
		return fail(CodeInUse, op, "it has %d durable subscriptions; remove them first, or force it", len(ops))
	}
	if b.catalog.has(name) {
		ops = append(ops, b.catalog.op(catalogRemove, name))
	}
	if remembered {
		ops = append(ops, b.retained.forgetOp(name, b.NewID()))
	}
	if err := b.commitOps(op, ops...); err != nil {
		return err
	}
	b.endConsumersOf(d)
	return nil
}

// exists reports whether d was made: for destinations that are not made on
// first use.
func (b *Broker) exists(d message.Destination) bool {
	if d.Kind == message.KindTopic {
		return b.catalog.has(d.Name)
	}
	return b.queues.get(d) != nil
}

// mayAppear reports why d, one destination without wildcards, can't be used:
// it does not exist, and its policy has it made on purpose only.
func (b *Broker) mayAppear(doing string, d message.Destination) error {
	if !b.deliberate.Load() || d.Kind.IsTemp() || !b.policies.For(d).NoAutoCreate || b.exists(d) {
		return nil
	}
	return fail(CodeNotFound, doing+" "+d.String(),
		"it does not exist, and is not made on first use (autoCreate): have an administrator create it, or list it in destinations")
}

// establish makes the destinations of Options that don't exist.
func (b *Broker) establish() error {
	var ops []store.Op
	for _, d := range b.o.Destinations {
		switch {
		case d.Kind == message.KindTopic && !b.catalog.has(d.Name):
			ops = append(ops, b.catalog.op(catalogAdd, d.Name))
		case d.Kind == message.KindQueue && b.queues.get(d) == nil:
			ops = append(ops, store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)})
		}
	}
	const step = 1000
	for part := range slices.Chunk(ops, step) {
		if err := b.commitOps("create destinations", part...); err != nil {
			return err
		}
	}
	return nil
}

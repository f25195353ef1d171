package broker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/store"
)

// QueueInfo is what administrators see of a queue.
type QueueInfo struct {
	Destination message.Destination
	queue.Stats
}

// queueSorts are the keys that Queues sorts by, beside the name.
var queueSorts = map[string]func(s *queue.Stats) uint64{
	"messages":  func(s *queue.Stats) uint64 { return uint64(s.Messages) },
	"inFlight":  func(s *queue.Stats) uint64 { return uint64(max(s.InFlight, 0)) },
	"consumers": func(s *queue.Stats) uint64 { return uint64(s.Consumers) },
	"enqueued":  func(s *queue.Stats) uint64 { return s.Enqueued },
	"dequeued":  func(s *queue.Stats) uint64 { return s.Dequeued },
	"expired":   func(s *queue.Stats) uint64 { return s.Expired },
}

// QueueState narrows a list of queues down.
type QueueState string

// The states.
const (
	AnyQueue       QueueState = ""
	QueueBacklog   QueueState = "backlog"     // messages wait
	QueueUnserved  QueueState = "noConsumers" // messages wait and nobody consumes
	QueuePaused    QueueState = "paused"
	QueueEmpty     QueueState = "empty"
	QueueTemporary QueueState = "temporary"
)

func (s QueueState) valid() bool {
	switch s {
	case AnyQueue, QueueBacklog, QueueUnserved, QueuePaused, QueueEmpty, QueueTemporary:
		return true
	}
	return false
}

func (s QueueState) selects(d message.Destination, q *queue.Stats) bool {
	switch s {
	case QueueBacklog:
		return q.Messages > 0
	case QueueUnserved:
		return q.Messages > 0 && q.Consumers == 0
	case QueuePaused:
		return q.Paused
	case QueueEmpty:
		return q.Messages == 0
	case QueueTemporary:
		return d.Kind.IsTemp()
	case AnyQueue:
	}
	return true
}

// Queues lists queues, temporary ones only with QueueTemporary. It looks into
// every queue only when state or l.Sort asks for it.
func (b *Broker) Queues(l List, state QueueState) (Listed[QueueInfo], error) {
	key, known := queueSorts[l.Sort]
	switch {
	case l.Sort == "name":
		l.Sort = ""
	case l.Sort != "" && !known:
		return Listed[QueueInfo]{}, unknownSort(l.Sort, "name", "messages", "inFlight", "consumers", "enqueued", "dequeued", "expired")
	}
	if !state.valid() {
		return Listed[QueueInfo]{}, fail(CodeInvalid, "list queues", "there is no state %q", state)
	}
	rows := b.queueRows(&l, state == QueueTemporary)
	if key != nil || state != AnyQueue && state != QueueTemporary {
		kept := rows[:0]
		for _, r := range rows {
			s := r.item.Stats()
			if !state.selects(r.item.Destination(), &s) {
				continue
			}
			if key != nil {
				r.key = key(&s)
			}
			kept = append(kept, r)
		}
		rows = kept
	}
	out := Listed[QueueInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, QueueInfo{r.item.Destination(), r.item.Stats()})
	}
	return out, nil
}

func (b *Broker) queueRows(l *List, temporary bool) []row[*queue.Queue] {
	b.queues.mu.RLock()
	defer b.queues.mu.RUnlock()
	rows := make([]row[*queue.Queue], 0, len(b.queues.byName))
	for d, q := range b.queues.byName {
		if q != nil && d.Kind.IsTemp() == temporary && l.selects(d.Name) && l.permits(d) {
			rows = append(rows, row[*queue.Queue]{0, d.Name, q})
		}
	}
	return rows
}

// Queue returns what there is to know of one queue.
func (b *Broker) Queue(name string) (QueueInfo, error) {
	q, err := b.existing("show", message.Queue(name))
	if err != nil {
		return QueueInfo{}, err
	}
	return QueueInfo{q.Destination(), q.Stats()}, nil
}

// existing returns a queue, or the error that it doesn't exist.
func (b *Broker) existing(doing string, d message.Destination) (*queue.Queue, error) {
	if q := b.queues.get(d); q != nil && d.Kind.IsQueue() {
		return q, nil
	}
	return nil, fail(CodeNotFound, doing+" "+d.String(), "there is no such queue")
}

// checkName reports why a client can't name one queue or topic like that.
func checkName(op, name string) error {
	if err := message.ValidateName(name); err != nil {
		return fail(CodeInvalid, op, "%w", err)
	}
	if d := message.Queue(name); d.IsComposite() || message.IsPattern(name) {
		return fail(CodeInvalid, op, "%q names more than one destination", name)
	}
	return nil
}

// commitOps logs ops for an administrator, who waits until they are safe.
func (b *Broker) commitOps(op string, ops ...store.Op) error {
	if len(ops) == 0 {
		return nil
	}
	durability := store.Lazy
	for i := range ops {
		if ops[i].Kind != store.OpTransient {
			durability = store.Synced
		}
	}
	w := make(waiter, 1)
	b.store.Commit(store.Request{Ops: ops, Durability: durability, Done: w})
	return refused(<-w, op)
}

// CreateQueue makes a queue. made says that there was none of that name.
func (b *Broker) CreateQueue(name string) (made bool, err error) {
	d := message.Queue(name)
	op := "create " + d.String()
	if err := checkName(op, name); err != nil {
		return false, err
	}
	if q := b.queues.get(d); q != nil && q.ID() != 0 {
		return false, nil
	}
	return true, b.commitOps(op, store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)})
}

// DeleteQueue removes a queue with all that is in it. Unless force is given,
// one with messages or consumers is refused; with it, the connections that
// consume from the queue are closed.
func (b *Broker) DeleteQueue(name string, force bool) error {
	d := message.Queue(name)
	op := "delete " + d.String()
	q, err := b.existing("delete", d)
	if err != nil {
		return err
	}
	s := q.Stats()
	switch {
	case force:
	case s.Consumers > 0:
		return fail(CodeInUse, op, "it has %d consumers; end them first, or force it", s.Consumers)
	case s.Messages > 0:
		return fail(CodeInUse, op, "%d messages wait in it; purge it first, or force it", s.Messages)
	}
	if q.ID() == 0 { // it waits for its number, which is on its way through the log
		if err := b.commitOps(op, store.Op{Kind: store.OpCreate, Data: appendDestination(nil, d)}); err != nil {
			return err
		}
	}
	if err := b.commitOps(op, store.Op{Kind: store.OpDelete, Queue: q.ID()}); err != nil {
		return err
	}
	b.endConsumersOf(d)
	return nil
}

// endConsumersOf closes the connections that consume from a queue that is
// gone: they would wait for ever.
func (b *Broker) endConsumersOf(d message.Destination) {
	for _, s := range b.everySession() {
		for _, c := range s.subscriptions() {
			if consumes(c.Destination, d) && !message.IsPattern(c.Destination.Name) {
				s.end(fail(CodeState, "", "an administrator deleted %s", d))
				break
			}
		}
	}
}

// SubscriptionInfo is what administrators see of a subscription to a topic.
type SubscriptionInfo struct {
	ClientID, Name, Topic, Selector string
	Connection                      uint64 // of one that isn't durable
	Durable, Shared, NoLocal        bool
	queue.Stats                     // of a durable one
}

// Subscriptions lists the subscriptions to topics, by client id and name.
// Sort keys: name, messages.
func (b *Broker) Subscriptions(l List, onlyDurable bool) (Listed[SubscriptionInfo], error) {
	if l.Sort != "" && l.Sort != "name" && l.Sort != "messages" {
		return Listed[SubscriptionInfo]{}, unknownSort(l.Sort, "name", "messages")
	}
	byMessages := l.Sort == "messages"
	if !byMessages {
		l.Sort = ""
	}
	var rows []row[func() SubscriptionInfo]
	for _, d := range b.everyDurable() {
		if !l.selects(d.spec.ClientID) && !l.selects(d.spec.Name) && !l.selects(d.spec.Pattern) || !l.permits(message.Topic(d.spec.Pattern)) {
			continue
		}
		key := uint64(0)
		if byMessages {
			n, _ := d.queue.Waiting()
			key = uint64(n)
		}
		rows = append(rows, row[func() SubscriptionInfo]{key, d.spec.ClientID + "\x00" + d.spec.Name, d.info})
	}
	if !onlyDurable {
		rows = b.sharedRows(rows, &l, byMessages)
		rows = b.volatileRows(rows, &l)
	}
	out := Listed[SubscriptionInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, r.item())
	}
	return out, nil
}

func (b *Broker) everyDurable() []*durable {
	b.queues.mu.RLock()
	defer b.queues.mu.RUnlock()
	all := make([]*durable, 0, len(b.queues.durables))
	for _, d := range b.queues.durables {
		all = append(all, d)
	}
	return all
}

func (d *durable) info() SubscriptionInfo {
	s := d.spec
	return SubscriptionInfo{
		ClientID: s.ClientID, Name: s.Name, Topic: s.Pattern, Selector: s.Selector,
		Durable: true, Shared: s.Shared, NoLocal: s.NoLocal, Stats: d.queue.Stats(),
	}
}

// sharedRows adds the shared subscriptions that aren't durable.
func (b *Broker) sharedRows(rows []row[func() SubscriptionInfo], l *List, byMessages bool) []row[func() SubscriptionInfo] {
	for _, sh := range b.shares.all() {
		if !l.selects(sh.key.ClientID) && !l.selects(sh.key.Name) && !l.selects(sh.topic.Name) || !l.permits(sh.topic) {
			continue
		}
		key := uint64(0)
		if byMessages {
			n, _ := sh.group.Queue().Waiting()
			key = uint64(n)
		}
		rows = append(rows, row[func() SubscriptionInfo]{key, sh.key.ClientID + "\x00" + sh.key.Name, sh.info})
	}
	return rows
}

// volatileRows adds the subscriptions that end with their consumers.
func (b *Broker) volatileRows(rows []row[func() SubscriptionInfo], l *List) []row[func() SubscriptionInfo] {
	for _, s := range b.everySession() {
		for _, c := range s.subscriptions() {
			sub := c.Subscription
			if !sub.Destination.Kind.IsTopic() || sub.Durable != "" || sub.SharedName != "" || !l.selects(s.clientID) && !l.selects(sub.Destination.Name) || !l.permits(sub.Destination) {
				continue
			}
			rows = append(rows, row[func() SubscriptionInfo]{
				0, s.clientID + "\x00" + sub.Destination.Name,
				func() SubscriptionInfo {
					state := c.consumer.State()
					return SubscriptionInfo{
						ClientID: s.clientID, Topic: sub.Destination.Name, Selector: sub.Selector, NoLocal: sub.NoLocal, Connection: s.serial,
						Stats: queue.Stats{Consumers: 1, InFlight: state.Unsettled, Counters: queue.Counters{Dispatched: state.Delivered}},
					}
				},
			})
		}
	}
	return rows
}

// DurableID describes a durable subscription, for definitions.
type DurableID struct {
	ClientID, Name, Topic, Selector string
	NoLocal, Shared                 bool
}

// Durables returns the durable subscriptions, by client id and name.
func (b *Broker) Durables() []DurableID {
	all := b.everyDurable()
	out := make([]DurableID, len(all))
	for i, d := range all {
		s := d.spec
		out[i] = DurableID{s.ClientID, s.Name, s.Pattern, s.Selector, s.NoLocal, s.Shared}
	}
	slices.SortFunc(out, func(a, b DurableID) int {
		return cmp.Or(strings.Compare(a.ClientID, b.ClientID), strings.Compare(a.Name, b.Name))
	})
	return out
}

// CreateDurable makes a durable subscription that waits for its client. made
// is false, and nothing changes, if there is one of that name.
func (b *Broker) CreateDurable(d DurableID) (made bool, err error) {
	op := "make durable subscription " + d.Name
	switch {
	case d.ClientID == "" && !d.Shared || d.Name == "":
		return false, fail(CodeInvalid, op, "a durable subscription needs a client id, unless it is shared, and a name")
	case d.ClientID == "" && d.NoLocal:
		return false, fail(CodeNotSupported, op, "a subscription that clients share can't leave out one client's own messages (noLocal)")
	case len(d.ClientID) > message.MaxNameLength || len(d.Name) > message.MaxNameLength:
		return false, fail(CodeInvalid, op, "client id or name is longer than %d bytes", message.MaxNameLength)
	case message.Topic(d.Topic).IsComposite():
		return false, fail(CodeInvalid, op, "%q names more than one topic", d.Topic)
	}
	if err := message.ValidateName(d.Topic); err != nil {
		return false, fail(CodeInvalid, op, "%w", err)
	}
	if _, err := b.adminFilter(op, d.Selector); err != nil {
		return false, err
	}
	spec := durableSpec{
		ClientID: d.ClientID, Name: d.Name, Pattern: d.Topic, Selector: d.Selector, NoLocal: d.NoLocal, Shared: d.Shared,
	}
	if b.queues.durable(spec.key()) != nil {
		return false, nil
	}
	return true, b.commitOps(op, store.Op{Kind: store.OpSubscribe, Data: spec.encode()})
}

// DeleteSubscription removes a durable subscription with all that waits in it.
func (b *Broker) DeleteSubscription(clientID, name string) error {
	op := "remove durable subscription " + name
	d := b.queues.durable(durableKey{clientID, name})
	if d == nil {
		return fail(CodeNotFound, op, "client id %q has none of that name", clientID)
	}
	if d.inUse() {
		return fail(CodeInUse, op, "it has an active consumer; end that one first")
	}
	return b.commitOps(op, store.Op{Kind: store.OpUnsubscribe, Queue: d.queue.ID()})
}

// TopicInfo is what administrators see of a topic, or of a pattern of topics
// that somebody subscribes to.
type TopicInfo struct {
	Name                 string
	Subscribers, Durable int  // consumers of subscriptions that aren't durable, durable subscriptions
	Created              bool // it was made on purpose, and stays without subscribers
}

// ListTopics lists the topics that somebody subscribes to, and those that were
// made on purpose. Sort keys: name, subscribers.
func (b *Broker) ListTopics(l List) (Listed[TopicInfo], error) {
	if l.Sort != "" && l.Sort != "name" && l.Sort != "subscribers" {
		return Listed[TopicInfo]{}, unknownSort(l.Sort, "name", "subscribers")
	}
	topics := b.topicsIn(func(name string) bool { return l.selects(name) && l.permits(message.Topic(name)) })
	rows := make([]row[TopicInfo], 0, len(topics))
	for name, t := range topics {
		r := row[TopicInfo]{name: name, item: *t}
		if l.Sort == "subscribers" {
			r.key = uint64(t.Subscribers + t.Durable)
		}
		rows = append(rows, r)
	}
	if l.Sort == "name" {
		l.Sort = ""
	}
	out := Listed[TopicInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, r.item)
	}
	return out, nil
}

// ConnectionInfo is what administrators see of a connection.
type ConnectionInfo struct {
	ID                                         uint64
	ClientID, Protocol, Version, Login, Remote string
	Listener                                   string
	Secure                                     bool
	Since                                      time.Time
	Sent                                       uint64 // messages that the client sent
	Delivered                                  uint64 // messages given to its consumers that are still there
	Consumers, Unsettled                       int
	Waits                                      string // why its sends are held back, "" if they aren't
}

// Connections lists the clients, or with producers only those that sent
// messages. Sort keys: name (the client id), sent, since.
func (b *Broker) Connections(l List, producers bool) (Listed[ConnectionInfo], error) {
	if l.Sort != "" && l.Sort != "name" && l.Sort != "sent" && l.Sort != "since" {
		return Listed[ConnectionInfo]{}, unknownSort(l.Sort, "name", "sent", "since")
	}
	var rows []row[*Session]
	for _, s := range b.everySession() {
		if producers && s.sent.Load() == 0 || !l.selects(s.clientID) && !l.selects(s.remote()) && !l.selects(s.req.Login) {
			continue
		}
		r := row[*Session]{name: s.clientID, item: s}
		switch l.Sort {
		case "sent":
			r.key = s.sent.Load()
		case "since":
			r.key = s.serial
		}
		rows = append(rows, r)
	}
	if l.Sort == "name" {
		l.Sort = ""
	}
	out := Listed[ConnectionInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, r.item.info())
	}
	return out, nil
}

func (b *Broker) everySession() []*Session {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*Session, 0, len(b.sessions))
	for s := range b.sessions {
		all = append(all, s)
	}
	return all
}

func (s *Session) remote() string { return s.req.remote() }

func (s *Session) info() ConnectionInfo {
	c := ConnectionInfo{
		ID: s.serial, ClientID: s.clientID, Protocol: s.req.Protocol, Version: s.req.Version, Login: s.req.Login,
		Remote: s.remote(), Listener: s.req.Listener, Secure: s.req.TLS != nil, Since: s.since, Sent: s.sent.Load(),
		Waits: s.b.flow.reason(s),
	}
	for _, sub := range s.subscriptions() {
		state := sub.consumer.State()
		c.Consumers++
		c.Unsettled += state.Unsettled
		c.Delivered += state.Delivered
	}
	return c
}

// reason says why a session's sends are held back.
func (f *flow) reason(s *Session) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.waiting[s]; h != nil {
		return h.reason
	}
	return ""
}

// owned is a consumer and what it asked for.
type owned struct {
	Subscription
	consumer *queue.Consumer
}

func (s *Session) subscriptions() []owned {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]owned, 0, len(s.consumers))
	for c, sub := range s.consumers {
		all = append(all, owned{*sub, c})
	}
	return all
}

// session finds a connection by its number.
func (b *Broker) session(op string, id uint64) (*Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.sessions {
		if s.serial == id {
			return s, nil
		}
	}
	return nil, fail(CodeNotFound, op, "there is no connection %d", id)
}

// Connection returns what there is to know of one connection.
func (b *Broker) Connection(id uint64) (ConnectionInfo, error) {
	s, err := b.session("show the connection", id)
	if err != nil {
		return ConnectionInfo{}, err
	}
	return s.info(), nil
}

// CloseConnection ends a connection. reason, which may be empty, is shown to
// the client.
func (b *Broker) CloseConnection(id uint64, reason string) error {
	s, err := b.session("close the connection", id)
	if err != nil {
		return err
	}
	if reason != "" {
		reason = ": " + reason
	}
	s.end(fail(CodeState, "", "an administrator closed the connection%s", reason))
	return nil
}

// ConsumerInfo is what administrators see of a consumer.
type ConsumerInfo struct {
	Connection        uint64
	ClientID          string
	Destination       message.Destination
	Durable, Selector string
	Browse, Exclusive bool
	Priority          int
	queue.ConsumerState
}

// Consumers lists the consumers of a connection (0: of all) and of a
// destination (zero: of all; one with a wildcard is listed where its pattern
// selects the destination). Sort keys: name (the destination), delivered,
// unsettled.
func (b *Broker) Consumers(l List, connection uint64, d message.Destination) (Listed[ConsumerInfo], error) {
	if l.Sort != "" && l.Sort != "name" && l.Sort != "delivered" && l.Sort != "unsettled" {
		return Listed[ConsumerInfo]{}, unknownSort(l.Sort, "name", "delivered", "unsettled")
	}
	var rows []row[ConsumerInfo]
	for _, s := range b.everySession() {
		if connection != 0 && s.serial != connection {
			continue
		}
		for _, c := range s.subscriptions() {
			if !d.IsZero() && !consumes(c.Destination, d) || !l.selects(c.Destination.Name) && !l.selects(s.clientID) || !l.permits(c.Destination) {
				continue
			}
			r := row[ConsumerInfo]{name: fmt.Sprintf("%s\x00%020d", c.Destination.Name, s.serial), item: ConsumerInfo{
				Connection: s.serial, ClientID: s.clientID, Destination: c.Destination, Durable: c.Durable, Selector: c.Selector,
				Browse: c.Browse, Exclusive: c.Exclusive, Priority: c.Priority, ConsumerState: c.consumer.State(),
			}}
			switch l.Sort {
			case "delivered":
				r.key = r.item.Delivered
			case "unsettled":
				r.key = uint64(r.item.Unsettled)
			}
			rows = append(rows, r)
		}
	}
	if l.Sort == "name" {
		l.Sort = ""
	}
	out := Listed[ConsumerInfo]{Total: len(rows)}
	for _, r := range page(rows, l) {
		out.Items = append(out.Items, r.item)
	}
	return out, nil
}

// consumes reports whether a consumer of sub gets messages of d.
func consumes(sub, d message.Destination) bool {
	parts, err := sub.Components()
	if err != nil {
		return false
	}
	for _, p := range parts {
		if p.Kind == d.Kind && message.Matches(p.Name, d.Name) {
			return true
		}
	}
	return false
}

package broker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/queue"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/selector"
	"github.com/entrepot-mq/entrepot/core/store"
	"github.com/entrepot-mq/entrepot/core/store/disk"
	"github.com/entrepot-mq/entrepot/core/topic"
)

// Options configure a broker. Zero values stand for the defaults in
// brackets.
type Options struct {
	Name       string // brokerName ["localhost"]
	Dir        string // of the data, "" keeps everything in memory (tests)
	Store      store.Options
	Memory     int64          // bytes of messages in memory before producers wait [96 MiB]
	MaxMessage int            // bytes [100 MiB]
	Policies   []policy.Entry // what holds for which destinations
	Limits     topic.Limits   // of non-durable subscriptions [topic.DefaultLimits]
	Logger     *slog.Logger   // [discards]
	Now        func() time.Time
	Durability store.Durability // of persistent messages without policy [Synced]
	// Security says who clients are and what they may do; nil lets everybody
	// do everything.
	Security *security.Security
	// PopulateUserID puts the authenticated user's name into messages
	// (populateJMSXUserID).
	PopulateUserID bool
	URL            string // of a listener, for advisories
	NoAdvisories   bool   // nothing is told on AdvisoryPrefix
	// ExpirePeriod is how often expired messages are looked for that no
	// consumer asks for [30 s].
	ExpirePeriod time.Duration
	// ScratchMax is how many bytes of non-persistent messages may wait on disk
	// when memory is tight; they are gone after a restart. Without Dir there
	// are none [10 GiB].
	ScratchMax int64
	Schedule   ScheduleOptions
	// BlockedWarning is how long a producer waits before the log says so [5 s].
	BlockedWarning time.Duration
	Retained       RetainedLimits        // what topics remember
	Stored         StoredLimits          // sessions that outlive their connections
	Destinations   []message.Destination // queues and topics that exist from the start, and stay
	Collect        CollectOptions
	Forwards       []policy.Forward      // composite destinations and mirrored queues
	VirtualTopics  []policy.VirtualTopic // [policy.DefaultVirtualTopics]; empty and not nil for none
	Converters     message.Converters    // of the protocols that are served [the hub's own]
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "localhost"
	}
	if o.Memory == 0 {
		o.Memory = 96 << 20
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = 100 << 20
	}
	if o.Limits == (topic.Limits{}) {
		o.Limits = topic.DefaultLimits
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Converters == nil {
		o.Converters = message.Converters{message.EncodingHub: message.Hub{}}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ExpirePeriod == 0 {
		o.ExpirePeriod = 30 * time.Second
	}
	if o.ScratchMax == 0 {
		o.ScratchMax = 10 << 30
	}
	if o.BlockedWarning == 0 {
		o.BlockedWarning = 5 * time.Second
	}
	if o.Collect.Period == 0 {
		o.Collect.Period = 10 * time.Second
	}
	if o.Retained.Messages == 0 {
		o.Retained.Messages = 100_000
	}
	if o.VirtualTopics == nil {
		o.VirtualTopics = policy.DefaultVirtualTopics
	}
	if o.Retained.Bytes == 0 {
		o.Retained.Bytes = 64 << 20
	}
	o.Stored = o.Stored.withDefaults()
	o.Store.Dir, o.Store.Logger = o.Dir, o.Logger
	return o
}

// Broker is the core. Its methods may be called from any goroutine.
type Broker struct {
	o          Options
	store      *store.Store
	budget     *store.Budget
	topics     *topic.Table
	tempTopics *topic.Table
	queues     registry
	shares     shares
	policies   livePolicies
	loader     loader
	flow       flow
	limits     limits
	upkeep     upkeep
	slowness   slowness
	recovery   recovery
	forwards   forwards
	collector  collector
	advisories advisories
	producers  producers
	deliberate atomic.Bool // some policy has destinations made on purpose only
	expiry     expiry

	run     uint64 // ID.Hi of messages published in this run
	counter atomic.Uint64
	serials atomic.Uint64 // sessions so far
	temps   temps
	noLocal atomic.Int64 // subscriptions that leave out their own messages
	compile selector.Cache
	machine machine

	retained   *retained
	system     systemTopics
	stored     *storedSessions
	schedules  *schedules
	virtuals   *virtuals
	catalog    *catalog
	delays     *delays
	prepared   *prepared
	duplicates *duplicates
	watchful   atomic.Bool // some policy wants duplicates to be found
	counts     counts

	mu       sync.Mutex
	sessions map[*Session]struct{}
	clients  map[string]*Session // by client id
	joined   map[string]int      // how many more there are of a client id
	closing  bool
	role     role // in a group
}

// Open starts a broker on the data in o.Dir. With o.Store.Group it serves nobody: it applies what
// its store is told, until Lead.
func Open(o Options) (*Broker, error) {
	o = o.withDefaults()
	b := &Broker{
		o: o, budget: store.NewBudget(o.Memory), topics: topic.NewTable(), tempTopics: topic.NewTable(), run: newRun(o.Now()),
		sessions: make(map[*Session]struct{}), clients: make(map[string]*Session), joined: make(map[string]int),
	}
	b.machine.b = b
	b.retained = newRetained(b)
	b.machine.addPart(b.retained)
	b.virtuals = newVirtuals(b)
	b.machine.addPart(b.virtuals)
	b.catalog = newCatalog(&b.machine)
	b.machine.addPart(b.catalog)
	b.stored = newStoredSessions(b)
	b.machine.addPart(b.stored)
	b.schedules = newSchedules(b, o.Schedule)
	b.machine.addPart(b.schedules)
	b.delays = newDelays(b)
	b.machine.addPart(b.delays)
	b.machine.addPart(&pauses{b})
	b.prepared = newPrepared(b)
	b.machine.addPart(b.prepared)
	b.duplicates = newDuplicates(b)
	b.machine.addPart(b.duplicates)
	b.queues.init()
	b.shares.init()
	b.advisories.init(b)
	b.producers.init()
	b.flow.b = b
	b.expiry.b = b
	b.loader.init(b)
	b.upkeep.init(b)
	var err error
	if err = b.SetPolicies(o.Policies); err != nil {
		return nil, err
	}
	b.limits.init(b)
	b.collector.init(b)
	b.slowness.init(b)
	b.recovery.init(b)
	for i := range o.VirtualTopics {
		if err := o.VirtualTopics[i].Check(); err != nil {
			return nil, err
		}
	}
	if err := b.forwards.init(b); err != nil {
		return nil, err
	}
	if b.store, err = store.Open(o.Store, &b.machine); err != nil {
		return nil, err
	}
	if err := b.openScratch(); err != nil {
		return nil, errors.Join(err, b.store.Close(context.Background()))
	}
	if err := b.begin(); err != nil {
		return nil, errors.Join(err, b.Close(context.Background()))
	}
	return b, nil
}

// openScratch makes the scratch area, if there is a disk. The store is open:
// no other process uses the directory.
func (b *Broker) openScratch() (err error) {
	if b.o.Dir == "" {
		return nil
	}
	fs := b.o.Store.FS
	if fs == nil {
		fs = disk.OS{}
	}
	b.upkeep.scratch, err = store.OpenScratch(fs, filepath.Join(b.o.Dir, "scratch"), b.o.ScratchMax)
	return err
}

// newRun returns a number that is higher in each run of a broker, and
// different on brokers started in the same millisecond.
func newRun(now time.Time) uint64 {
	var r [8]byte
	_, _ = rand.Read(r[:]) // never fails since Go 1.24
	return uint64(now.UnixMilli())<<20 | binary.BigEndian.Uint64(r[:])&(1<<20-1)
}

// Close ends all sessions and closes the store. Until ctx ends, what was
// committed is completed and a checkpoint written, so that the next start is
// quick.
func (b *Broker) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	open := make([]*Session, 0, len(b.sessions))
	for s := range b.sessions {
		open = append(open, s)
	}
	b.mu.Unlock()
	for _, s := range open {
		s.end(fail(CodeUnavailable, "", "the broker is shutting down"))
	}
	b.advisories.stop()
	b.flow.stop()
	b.expiry.stop()
	b.schedules.stop()
	b.delays.stop()
	b.slowness.stop()
	b.collector.stop()
	b.stored.stop()
	b.upkeep.end()
	b.loader.stop() // before the page store closes: a failed read would look like damage
	err := b.store.Close(ctx)
	if b.upkeep.scratch != nil {
		b.upkeep.scratch.Close()
	}
	return err
}

// Failed returns why the broker's store failed, nil while it works.
func (b *Broker) Failed() error { return b.store.Failed() }

// MaxMessage is the largest message in bytes that Publish takes.
func (b *Broker) MaxMessage() int { return b.o.MaxMessage }

// Name is the broker's name (brokerName).
func (b *Broker) Name() string { return b.o.Name }

// NewID returns a fresh message id.
func (b *Broker) NewID() message.ID { return message.ID{Hi: b.run, Lo: b.counter.Add(1)} }

// NowMs is the time in milliseconds since the Unix epoch.
func (b *Broker) NowMs() int64 { return b.o.Now().UnixMilli() }

// Commit implements queue.Broker.
func (b *Broker) Commit(r store.Request) { b.store.Commit(r) }

// Converters implements queue.Broker.
func (b *Broker) Converters() message.Converters { return b.o.Converters }

// Load implements queue.Broker.
func (b *Broker) Load(q *queue.Queue, lane uint8, seq uint64) { b.loader.load(q, lane, seq) }

// durability returns when a persistent message to d counts as safe.
func (b *Broker) durability(d message.Destination) store.Durability {
	return b.policies.For(d).Durability
}

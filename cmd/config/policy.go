package config

import (
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/store"
)

// DestinationPolicy is an entry of destinationPolicy: what holds for the
// destinations that a pattern selects. Settings that aren't given are left to
// less specific entries.
type DestinationPolicy struct {
	Queue     string `key:"queue" doc:"pattern of queues, such as orders.>"`
	Topic     string `key:"topic" doc:"pattern of topics"`
	TempQueue string `key:"tempQueue" doc:"pattern of temporary queues; > selects all"`
	TempTopic string `key:"tempTopic" doc:"pattern of temporary topics"`

	Sync                           string  `key:"sync" oneof:"always interval never" doc:"as store.sync, for these destinations"`
	MaxMessages                    *int    `key:"maxMessages" doc:"messages that a queue holds; 0 for no limit"`
	MaxBytes                       *Size   `key:"maxBytes" doc:"bytes that the messages of a queue have together; 0 for no limit"`
	Overflow                       *string `key:"overflow" oneof:"block reject dropOldest" doc:"at maxMessages or maxBytes the producer waits, gets an error, or the queue's oldest message of its lowest priority is dropped"`
	QueuePrefetch                  *int    `key:"queuePrefetch" doc:"unsettled deliveries of a queue's consumer that asks for no number (1000); with 0, OpenWire consumers pull and others get one at a time"`
	QueueBrowserPrefetch           *int    `key:"queueBrowserPrefetch" doc:"the same for browsers (500)"`
	TopicPrefetch                  *int    `key:"topicPrefetch" doc:"the same for subscribers of topics (32767)"`
	DurableTopicPrefetch           *int    `key:"durableTopicPrefetch" doc:"the same for durable subscriptions (100)"`
	AllConsumersExclusiveByDefault *bool   `key:"allConsumersExclusiveByDefault" doc:"one consumer of a queue is served, the others stand by"`

	AutoCreate                 *bool          `key:"autoCreate" doc:"queues and topics are made on first use (true); otherwise by administrators, or by being listed in destinations"`
	GCInactiveDestinations     *bool          `key:"gcInactiveDestinations" doc:"a queue goes that has had no messages and no consumers for inactiveTimeoutBeforeGC (false)"`
	InactiveTimeoutBeforeGC    *time.Duration `key:"inactiveTimeoutBeforeGC" doc:"time after which an idle queue goes (1m)"`
	InactiveTimeoutBeforeGCOld *time.Duration `key:"inactiveTimoutBeforeGC" doc:"ActiveMQ's older spelling of inactiveTimeoutBeforeGC"`

	AdvisoryForSlowConsumers  *bool `key:"advisoryForSlowConsumers" doc:"a slow consumer of a topic is told of on ActiveMQ.Advisory.SlowConsumer (false)"`
	AdvisoryForFastProducers  *bool `key:"advisoryForFastProducers" doc:"a producer that has to wait is told of on ActiveMQ.Advisory.FastProducer (false)"`
	AdvisoryForDiscarding     *bool `key:"advisoryForDiscardingMessages" doc:"messages that a slow consumer loses, or that make room, are told of on ActiveMQ.Advisory.MessageDiscarded (false)"`
	AdvisoryForDelivery       *bool `key:"advisoryForDelivery" doc:"each message that comes is told of on ActiveMQ.Advisory.MessageDelivered (false)"`
	AdvisoryForConsumed       *bool `key:"advisoryForConsumed" doc:"each acknowledged message is told of on ActiveMQ.Advisory.MessageConsumed (false)"`
	AdvisoryWhenFull          *bool `key:"advisoryWhenFull" doc:"a queue at its limit is told of on ActiveMQ.Advisory.FULL (false)"`
	SendAdvisoryIfNoConsumers *bool `key:"sendAdvisoryIfNoConsumers" doc:"a message that nobody consumes is told of on ActiveMQ.Advisory.NoConsumer (false)"`
	IncludeBodyForAdvisory    *bool `key:"includeBodyForAdvisory" doc:"advisories about a message hold its text (false)"`

	AlwaysRetroactive *bool `key:"alwaysRetroactive" doc:"every subscriber of a topic gets what its subscriptionRecoveryPolicy keeps, not only retroactive ones"`

	Pending  PendingMessageLimitStrategy `key:"pendingMessageLimitStrategy"`
	Eviction MessageEvictionStrategy     `key:"messageEvictionStrategy"`
	Slow     SlowConsumerStrategy        `key:"slowConsumerStrategy"`
	Recovery SubscriptionRecoveryPolicy  `key:"subscriptionRecoveryPolicy"`

	MessageGroups
	Duplicates DuplicateDetection `key:"duplicateDetection"`
	Redelivery RedeliveryPolicy   `key:"redeliveryPolicy"`
	DeadLetter DeadLetterStrategy `key:"deadLetterStrategy"`
}

// RedeliveryPolicy is what becomes of messages whose delivery failed.
type RedeliveryPolicy struct {
	MaximumRedeliveries          *int           `key:"maximumRedeliveries" doc:"failed redeliveries after which a message becomes a dead letter; -1 for no limit (10)"`
	InitialRedeliveryDelay       *time.Duration `key:"initialRedeliveryDelay" doc:"time before the first redelivery (0)"`
	RedeliveryDelay              *time.Duration `key:"redeliveryDelay" doc:"time before each other one (0)"`
	UseExponentialBackOff        *bool          `key:"useExponentialBackOff" doc:"delays grow from redeliveryDelay on"`
	BackOffMultiplier            *float64       `key:"backOffMultiplier" doc:"by this factor (2)"`
	MaximumRedeliveryDelay       *time.Duration `key:"maximumRedeliveryDelay" doc:"longest delay; 0 for no limit"`
	UseCollisionAvoidance        *bool          `key:"useCollisionAvoidance" doc:"delays are spread"`
	CollisionAvoidancePercentage *int           `key:"collisionAvoidancePercentage" doc:"by up to this part of them, 0 to 100 (15)"`
}

// DeadLetterStrategy says where messages go that nobody is to get any more.
type DeadLetterStrategy struct {
	Type                            *string        `key:"type" oneof:"shared individual discarding" doc:"one queue for all, one for each destination, or none (shared)"`
	DeadLetterQueue                 *string        `key:"deadLetterQueue" doc:"shared: its name (ActiveMQ.DLQ)"`
	QueuePrefix                     *string        `key:"queuePrefix" doc:"individual: before the name of the queue that the message was in (ActiveMQ.DLQ.Queue.)"`
	QueueSuffix                     *string        `key:"queueSuffix" doc:"individual: behind it"`
	TopicPrefix                     *string        `key:"topicPrefix" doc:"individual: before the name of the topic (ActiveMQ.DLQ.Topic.)"`
	TopicSuffix                     *string        `key:"topicSuffix" doc:"individual: behind it"`
	UseQueueForQueueMessages        *bool          `key:"useQueueForQueueMessages" doc:"individual: dead letters of queues go to a queue, not a topic (true)"`
	UseQueueForTopicMessages        *bool          `key:"useQueueForTopicMessages" doc:"individual: dead letters of topics go to a queue, not a topic (true)"`
	DestinationPerDurableSubscriber *bool          `key:"destinationPerDurableSubscriber" doc:"individual: each durable subscription has its own"`
	ProcessExpired                  *bool          `key:"processExpired" doc:"expired messages become dead letters (true)"`
	ProcessNonPersistent            *bool          `key:"processNonPersistent" doc:"non-persistent messages become dead letters, persistent ones (false)"`
	Expiration                      *time.Duration `key:"expiration" doc:"how long a dead letter is kept; 0 for ever"`
}

// Patterns returns the destinations that the entry names.
func (d *DestinationPolicy) Patterns() (out []message.Destination) {
	for _, p := range []message.Destination{
		message.Queue(d.Queue), message.Topic(d.Topic),
		{Kind: message.KindTempQueue, Name: d.TempQueue},
		{Kind: message.KindTempTopic, Name: d.TempTopic},
	} {
		if p.Name != "" {
			out = append(out, p)
		}
	}
	return out
}

// Entry returns what the broker needs of a valid entry.
func (d DestinationPolicy) Entry() policy.Entry {
	return policy.Entry{Pattern: d.Patterns()[0], Apply: d.apply}
}

// Durabilities are what store.sync and sync mean.
var durabilities = map[string]store.Durability{"always": store.Synced, "interval": store.Soon, "never": store.Lazy}

// Durability returns what a value of store.sync means.
func Durability(sync string) store.Durability { return durabilities[sync] }

func (d *DestinationPolicy) apply(p *policy.Policy) {
	if d.Sync != "" {
		p.Durability = durabilities[d.Sync]
	}
	give(&p.Limit.Messages, d.MaxMessages)
	if d.MaxBytes != nil {
		p.Limit.Bytes = int64(*d.MaxBytes)
	}
	if d.Overflow != nil {
		p.Limit.Overflow = map[string]policy.Overflow{"block": policy.Block, "reject": policy.Reject, "dropOldest": policy.DropOldest}[*d.Overflow]
	}
	give(&p.Prefetch.Queue, d.QueuePrefetch)
	give(&p.Prefetch.Browser, d.QueueBrowserPrefetch)
	give(&p.Prefetch.Topic, d.TopicPrefetch)
	give(&p.Prefetch.Durable, d.DurableTopicPrefetch)
	give(&p.Exclusive, d.AllConsumersExclusiveByDefault)
	giveNot(&p.NoAutoCreate, d.AutoCreate)
	give(&p.Collect, d.GCInactiveDestinations)
	give(&p.CollectAfter, d.InactiveTimeoutBeforeGCOld)
	give(&p.CollectAfter, d.InactiveTimeoutBeforeGC)
	d.applyTopics(p)
	d.MessageGroups.apply(p)
	give(&p.Duplicates.Window, d.Duplicates.Window)
	give(&p.Duplicates.Property, d.Duplicates.Property)
	d.Redelivery.apply(&p.Redelivery)
	d.DeadLetter.apply(&p.DeadLetter)
}

func (r *RedeliveryPolicy) apply(p *policy.Redelivery) {
	give(&p.Maximum, r.MaximumRedeliveries)
	give(&p.Initial, r.InitialRedeliveryDelay)
	give(&p.Delay, r.RedeliveryDelay)
	give(&p.Backoff, r.UseExponentialBackOff)
	give(&p.Multiplier, r.BackOffMultiplier)
	give(&p.Longest, r.MaximumRedeliveryDelay)
	if r.UseCollisionAvoidance != nil {
		p.Avoidance = 0
		if *r.UseCollisionAvoidance {
			p.Avoidance = 0.15
		}
	}
	if r.CollisionAvoidancePercentage != nil && (r.UseCollisionAvoidance == nil || *r.UseCollisionAvoidance) {
		p.Avoidance = float64(*r.CollisionAvoidancePercentage) / 100
	}
}

func (s *DeadLetterStrategy) apply(p *policy.DeadLetter) {
	if s.Type != nil {
		p.Strategy = map[string]policy.Strategy{"shared": policy.Shared, "individual": policy.Individual, "discarding": policy.Discard}[*s.Type]
	}
	give(&p.Queue, s.DeadLetterQueue)
	give(&p.QueuePrefix, s.QueuePrefix)
	give(&p.QueueSuffix, s.QueueSuffix)
	give(&p.TopicPrefix, s.TopicPrefix)
	give(&p.TopicSuffix, s.TopicSuffix)
	giveNot(&p.TopicForQueues, s.UseQueueForQueueMessages)
	giveNot(&p.TopicForTopics, s.UseQueueForTopicMessages)
	give(&p.PerDurableSubscription, s.DestinationPerDurableSubscriber)
	give(&p.Expired, s.ProcessExpired)
	give(&p.NonPersistent, s.ProcessNonPersistent)
	give(&p.Expiration, s.Expiration)
}

// give sets what an entry says, if it says it.
func give[T any](to, value *T) {
	if value != nil {
		*to = *value
	}
}

func giveNot(to, value *bool) {
	if value != nil {
		*to = !*value
	}
}

// meaningless are ActiveMQ's names of settings that this broker has no use
// for, and why. A configuration may keep them.
var meaningless = map[string]string{
	"memoryLimit":                       "memory is shared by all destinations: store.memory; maxBytes and maxMessages bound one queue",
	"producerFlowControl":               "producers wait when there is no room; overflow says what else may happen",
	"blockedProducerWarningInterval":    "the log says each time when a producer waits for long",
	"minimumMessageSize":                "messages are counted as large as they are",
	"maxPageSize":                       pagesThemselves,
	"maxBrowsePageSize":                 pagesThemselves,
	"maxExpirePageSize":                 pagesThemselves,
	"cursorMemoryHighWaterMark":         pagesThemselves,
	"storeUsageHighWaterMark":           pagesThemselves,
	"useCache":                          pagesThemselves,
	"pendingQueuePolicy":                pagesThemselves,
	"pendingSubscriberPolicy":           pagesThemselves,
	"pendingDurableSubscriberPolicy":    pagesThemselves,
	"reduceMemoryFootprint":             pagesThemselves,
	"doOptimzeMessageStorage":           pagesThemselves,
	"optimizeMessageStoreInFlightLimit": pagesThemselves,
	"optimizedDispatch":                 "delivery has one way, which is quick",
	"prioritizedMessages":               "the ten priorities always count",
	"strictOrderDispatch":               "consumers of a queue take turns, and groups keep their consumer",
	"lazyDispatch":                      "messages are sent when there is credit for them",
	"useConsumerPriority":               "consumers' priorities always count",
	"persistJMSRedelivered":             "failed deliveries are always recorded",
	"usePrefetchExtension":              "acknowledgements in a transaction always make room for more deliveries",
	"enableAudit":                       noAudit,
	"maxProducersToAudit":               noAudit,
	"maxAuditDepth":                     noAudit,
	"maxQueueAuditDepth":                noAudit,
	"sendDuplicateFromStoreToDLQ":       noAudit,
	"gcWithNetworkConsumers":            "there are no networks of brokers",
	"networkBridgeFilterFactory":        "there are no networks of brokers",
	"advancedNetworkStatisticsEnabled":  "statistics are always counted",
	"advancedMessageStatisticsEnabled":  "statistics are always counted",
	"useTopicSubscriptionInflightStats": "statistics are always counted",
}

const (
	pagesThemselves = "messages move between memory and disk by themselves"
	noAudit         = "what a producer sends again is always known; duplicateDetection finds messages by an id of the client's"
)

// policies checks the entries of destinationPolicy.
func (v *validator) policies(list []DestinationPolicy) {
	for i := range list {
		d := &list[i]
		key := fmt.Sprintf("destinationPolicy[%d]", i)
		fail := func(setting, message, hint string) {
			if setting != "" {
				setting = "." + setting
			}
			v.problems = append(v.problems, &SettingError{
				Where: v.from.Origin("destinationPolicy"), Key: key + setting, Message: message, Hint: hint,
			})
		}
		switch ps := d.Patterns(); len(ps) {
		case 1:
			if _, err := policy.New(policy.Default(), []policy.Entry{{Pattern: ps[0]}}); err != nil {
				fail("", err.Error(), "")
			}
		default:
			fail("", "needs one of queue, topic, tempQueue and tempTopic", `write for example queue: "orders.>"`)
			continue
		}
		if d.saysNothing() {
			fail("", "says nothing about "+d.Patterns()[0].String(), "give it a setting, such as sync: interval")
		}
		d.numbers(fail)
	}
}

func (d *DestinationPolicy) saysNothing() bool {
	rest := *d
	rest.Queue, rest.Topic, rest.TempQueue, rest.TempTopic = "", "", "", ""
	return rest == DestinationPolicy{}
}

// numbers checks ranges.
func (d *DestinationPolicy) numbers(fail func(setting, message, hint string)) {
	number := func(setting string, value *int, least, most int) {
		if value != nil && (*value < least || *value > most) {
			fail(setting, fmt.Sprintf("%d is out of range", *value), fmt.Sprintf("give %d to %d", least, most))
		}
	}
	const most = 1<<31 - 1
	number("maxMessages", d.MaxMessages, 0, most)
	number("queuePrefetch", d.QueuePrefetch, 0, most)
	number("queueBrowserPrefetch", d.QueueBrowserPrefetch, 1, most)
	number("topicPrefetch", d.TopicPrefetch, 1, most)
	number("durableTopicPrefetch", d.DurableTopicPrefetch, 1, most)
	number("redeliveryPolicy.maximumRedeliveries", d.Redelivery.MaximumRedeliveries, policy.Unlimited, most)
	number("redeliveryPolicy.collisionAvoidancePercentage", d.Redelivery.CollisionAvoidancePercentage, 0, 100)
	d.checkTopics(number, fail)
	d.MessageGroups.check(number, fail)
	number("duplicateDetection.window", d.Duplicates.Window, 0, 500_000)
	if m := d.Redelivery.BackOffMultiplier; m != nil && !(*m >= 1 && *m <= 1000) { // NaN too
		fail("redeliveryPolicy.backOffMultiplier", fmt.Sprintf("%v is out of range", *m), "give 1 to 1000")
	}
	if q := d.DeadLetter.DeadLetterQueue; q != nil {
		if err := message.ValidateName(*q); err != nil || message.IsPattern(*q) || message.Queue(*q).IsComposite() {
			fail("deadLetterStrategy.deadLetterQueue", fmt.Sprintf("%q is not the name of one queue", *q), "")
		}
	}
	for _, part := range []struct {
		name string
		text *string
	}{
		{"queuePrefix", d.DeadLetter.QueuePrefix},
		{"queueSuffix", d.DeadLetter.QueueSuffix},
		{"topicPrefix", d.DeadLetter.TopicPrefix},
		{"topicSuffix", d.DeadLetter.TopicSuffix},
	} {
		if part.text == nil || *part.text == "" {
			continue
		}
		if err := message.ValidateName(*part.text); err != nil || message.IsPattern(*part.text) || message.Queue(*part.text).IsComposite() {
			fail("deadLetterStrategy."+part.name, fmt.Sprintf("%q can't be part of a queue's name", *part.text), "")
		}
	}
}

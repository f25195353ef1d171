package config

import (
	"fmt"
	"math"
	"time"

	"github.com/entrepot-mq/entrepot/core/policy"
)

// PendingMessageLimitStrategy bounds what waits for a consumer of a topic.
type PendingMessageLimitStrategy struct {
	Type       *string  `key:"type" oneof:"constant prefetchRate" doc:"limit messages wait for a consumer of a topic beyond its prefetch, or multiplier times its prefetch (constant)"`
	Limit      *int     `key:"limit" doc:"constant: beyond it some are discarded; -1 for no limit but 16 MiB (1000)"`
	Multiplier *float64 `key:"multiplier" doc:"prefetchRate: part of the prefetch, such as 2.5"`
}

// MessageEvictionStrategy says which messages a slow consumer loses.
type MessageEvictionStrategy struct {
	Type         *string `key:"type" oneof:"oldest oldestMessageWithLowestPriority uniqueProperty" doc:"what is discarded when too many messages wait for a consumer of a topic; uniqueProperty: those for which a newer one with the same value waits, then the oldest of the lowest priority (oldest)"`
	PropertyName *string `key:"propertyName" doc:"uniqueProperty: the property"`
}

// SlowConsumerStrategy says when a consumer is too slow to go on.
type SlowConsumerStrategy struct {
	Type                *string        `key:"type" oneof:"none abortSlowConsumer abortSlowAckConsumer" doc:"consumers are ended that are slow: without credit while messages wait and, of a queue, settling none; or that acknowledge nothing (none)"`
	MaxSlowDuration     *time.Duration `key:"maxSlowDuration" doc:"abortSlowConsumer: after being slow for so long; 0 for any time (30s)"`
	MaxSlowCount        *int           `key:"maxSlowCount" doc:"abortSlowConsumer: after becoming slow more often; -1 for any number (-1)"`
	MaxTimeSinceLastAck *time.Duration `key:"maxTimeSinceLastAck" doc:"abortSlowAckConsumer: after acknowledging nothing for so long (30s)"`
	IgnoreIdleConsumers *bool          `key:"ignoreIdleConsumers" doc:"abortSlowAckConsumer: not those that have nothing to acknowledge (true)"`
	AbortConnection     *bool          `key:"abortConnection" doc:"the whole connection is ended (false)"`
	CheckPeriod         *time.Duration `key:"checkPeriod" doc:"how often consumers are looked at; the shortest of all entries counts (30s)"`
}

// SubscriptionRecoveryPolicy says what a topic keeps for retroactive
// consumers.
type SubscriptionRecoveryPolicy struct {
	Type            *string        `key:"type" oneof:"none lastImage fixedCount fixedSized timed" doc:"messages that a topic keeps in memory for retroactive consumers (none)"`
	MaximumSize     *int           `key:"maximumSize" doc:"fixedCount: so many messages (100); fixedSized: so many bytes (65536)"`
	RecoverDuration *time.Duration `key:"recoverDuration" doc:"timed: those that are not older (2m)"`
}

// applyTopics sets what d says of topics and of slow consumers.
func (d *DestinationPolicy) applyTopics(p *policy.Policy) {
	give(&p.Recovery.Always, d.AlwaysRetroactive)
	d.applyAdvise(&p.Advise)
	d.Pending.apply(&p.Pending)
	d.Eviction.apply(&p.Pending)
	d.Slow.apply(&p.Slow)
	d.Recovery.apply(&p.Recovery)
}

func (d *DestinationPolicy) applyAdvise(p *policy.Advise) {
	give(&p.SlowConsumers, d.AdvisoryForSlowConsumers)
	give(&p.FastProducers, d.AdvisoryForFastProducers)
	give(&p.Discarded, d.AdvisoryForDiscarding)
	give(&p.Delivered, d.AdvisoryForDelivery)
	give(&p.Consumed, d.AdvisoryForConsumed)
	give(&p.Full, d.AdvisoryWhenFull)
	give(&p.NoConsumers, d.SendAdvisoryIfNoConsumers)
	give(&p.Body, d.IncludeBodyForAdvisory)
}

func (s *PendingMessageLimitStrategy) apply(p *policy.Pending) {
	give(&p.Limit, s.Limit)
	give(&p.Multiplier, s.Multiplier)
	if s.Type != nil && *s.Type == "constant" {
		p.Multiplier = 0
	}
}

func (s *MessageEvictionStrategy) apply(p *policy.Pending) {
	if s.Type != nil {
		p.Evict = map[string]policy.Eviction{
			"oldest": policy.EvictOldest, "oldestMessageWithLowestPriority": policy.EvictLowest, "uniqueProperty": policy.EvictSame,
		}[*s.Type]
	}
	give(&p.Property, s.PropertyName)
}

func (s *SlowConsumerStrategy) apply(p *policy.Slow) {
	if s.Type != nil {
		p.Abort = map[string]policy.SlowAbort{
			"none": policy.AbortNone, "abortSlowConsumer": policy.AbortSlow, "abortSlowAckConsumer": policy.AbortSilent,
		}[*s.Type]
	}
	give(&p.Duration, s.MaxSlowDuration)
	give(&p.Count, s.MaxSlowCount)
	give(&p.Silence, s.MaxTimeSinceLastAck)
	giveNot(&p.Idle, s.IgnoreIdleConsumers)
	give(&p.Connection, s.AbortConnection)
	give(&p.Check, s.CheckPeriod)
}

func (s *SubscriptionRecoveryPolicy) apply(p *policy.Recovery) {
	if s.Type != nil {
		p.Keep = map[string]policy.Keep{
			"none": policy.KeepNothing, "lastImage": policy.KeepLast, "fixedCount": policy.KeepCount,
			"fixedSized": policy.KeepSize, "timed": policy.KeepTime,
		}[*s.Type]
	}
	if s.MaximumSize != nil {
		p.Messages, p.Bytes = *s.MaximumSize, *s.MaximumSize
	}
	give(&p.Duration, s.RecoverDuration)
}

// checkTopics checks ranges, and settings that need each other.
func (d *DestinationPolicy) checkTopics(number func(setting string, value *int, least, most int), fail func(setting, message, hint string)) {
	number("pendingMessageLimitStrategy.limit", d.Pending.Limit, policy.Unbounded, math.MaxInt32)
	number("slowConsumerStrategy.maxSlowCount", d.Slow.MaxSlowCount, -1, math.MaxInt32)
	number("subscriptionRecoveryPolicy.maximumSize", d.Recovery.MaximumSize, 1, math.MaxInt32)
	if m := d.Pending.Multiplier; m != nil && !(*m > 0 && *m <= 1e6) { // NaN too
		fail("pendingMessageLimitStrategy.multiplier", fmt.Sprintf("%v is out of range", *m), "give a number above 0, such as 2.5")
	}
	if t := d.Pending.Type; t != nil && *t == "prefetchRate" && d.Pending.Multiplier == nil {
		fail("pendingMessageLimitStrategy", "prefetchRate needs a multiplier", "give multiplier: 2.5, for example")
	}
	if t := d.Eviction.Type; t != nil && *t == "uniqueProperty" && (d.Eviction.PropertyName == nil || *d.Eviction.PropertyName == "") {
		fail("messageEvictionStrategy", "uniqueProperty needs a propertyName", "name the property whose latest value counts")
	}
	for _, t := range []struct {
		setting string
		value   *time.Duration
		least   time.Duration
	}{
		{"slowConsumerStrategy.maxSlowDuration", d.Slow.MaxSlowDuration, 0},
		{"slowConsumerStrategy.maxTimeSinceLastAck", d.Slow.MaxTimeSinceLastAck, time.Millisecond},
		{"slowConsumerStrategy.checkPeriod", d.Slow.CheckPeriod, time.Millisecond},
		{"inactiveTimeoutBeforeGC", d.InactiveTimeoutBeforeGC, 0},
		{"inactiveTimoutBeforeGC", d.InactiveTimeoutBeforeGCOld, 0},
		{"subscriptionRecoveryPolicy.recoverDuration", d.Recovery.RecoverDuration, time.Millisecond},
	} {
		if t.value != nil && *t.value < t.least {
			fail(t.setting, fmt.Sprintf("%s is out of range", *t.value), fmt.Sprintf("give %s at least", t.least))
		}
	}
}

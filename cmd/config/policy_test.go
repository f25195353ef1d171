package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/store"
)

const everyPolicy = `destinationPolicy:
  - queue: ">"
    sync: interval
    maxMessages: 1000
    maxBytes: 10MiB
    overflow: dropOldest
    queuePrefetch: 10
    queueBrowserPrefetch: 20
    topicPrefetch: 30
    durableTopicPrefetch: 40
    allConsumersExclusiveByDefault: true
    autoCreate: false
    advisoryForSlowConsumers: true
    advisoryForFastProducers: true
    advisoryForDiscardingMessages: true
    advisoryForDelivery: true
    advisoryForConsumed: true
    advisoryWhenFull: true
    sendAdvisoryIfNoConsumers: true
    includeBodyForAdvisory: true
    gcInactiveDestinations: true
    inactiveTimeoutBeforeGC: 8s
    alwaysRetroactive: true
    pendingMessageLimitStrategy: {type: prefetchRate, limit: 5, multiplier: 2.5}
    messageEvictionStrategy: {type: uniqueProperty, propertyName: symbol}
    slowConsumerStrategy:
      type: abortSlowAckConsumer
      maxSlowDuration: 1s
      maxSlowCount: 2
      maxTimeSinceLastAck: 3s
      ignoreIdleConsumers: false
      abortConnection: true
      checkPeriod: 4s
    subscriptionRecoveryPolicy: {type: fixedSized, maximumSize: 6, recoverDuration: 7s}
    messageGroupMapFactory: {type: bucket, size: 64}
    rebalanceMessageGroups: true
    duplicateDetection: {window: 1000, property: id}
    consumersBeforeDispatchStarts: 3
    timeBeforeDispatchStarts: 500ms
    useCache: false
    redeliveryPolicy:
      maximumRedeliveries: -1
      initialRedeliveryDelay: 1s
      redeliveryDelay: 2s
      useExponentialBackOff: true
      backOffMultiplier: 1.5
      maximumRedeliveryDelay: 1m
      useCollisionAvoidance: true
      collisionAvoidancePercentage: 20
    deadLetterStrategy:
      type: individual
      deadLetterQueue: graves
      queuePrefix: "q."
      queueSuffix: ".q"
      topicPrefix: ""
      topicSuffix: ".t"
      useQueueForQueueMessages: false
      useQueueForTopicMessages: true
      destinationPerDurableSubscriber: true
      processExpired: false
      processNonPersistent: true
      expiration: 7d
  - queue: a
    redeliveryPolicy: {maximumRedeliveries: 3, useCollisionAvoidance: false}
`

func TestEverySettingOfAPolicyHasItsEffect(t *testing.T) {
	l, err := Load(Inputs{File: writeFile(t, "a.yaml", everyPolicy)})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Warnings) != 1 || !strings.HasSuffix(l.Warnings[0], ": useCache has no effect here: messages move between memory and disk by themselves") {
		t.Errorf("warnings are %q", l.Warnings)
	}
	set, err := policy.New(policy.Default(), []policy.Entry{l.Policies[0].Entry(), l.Policies[1].Entry()})
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Policy{
		Durability: store.Soon,
		Redelivery: policy.Redelivery{
			Maximum: policy.Unlimited, Initial: time.Second, Delay: 2 * time.Second, Backoff: true, Multiplier: 1.5,
			Longest: time.Minute, Avoidance: 0.2,
		},
		DeadLetter: policy.DeadLetter{
			Strategy: policy.Individual, Queue: "graves", QueuePrefix: "q.", QueueSuffix: ".q", TopicSuffix: ".t",
			TopicForQueues: true, PerDurableSubscription: true, NonPersistent: true, Expiration: 7 * 24 * time.Hour,
		},
		Prefetch: policy.Prefetch{Queue: 10, Browser: 20, Topic: 30, Durable: 40},
		Limit:    policy.Limit{Messages: 1000, Bytes: 10 << 20, Overflow: policy.DropOldest},
		Pending:  policy.Pending{Limit: 5, Multiplier: 2.5, Evict: policy.EvictSame, Property: "symbol"},
		Slow: policy.Slow{
			Abort: policy.AbortSilent, Connection: true, Check: 4 * time.Second, Count: 2, Duration: time.Second,
			Silence: 3 * time.Second, Idle: true,
		},
		Recovery:   policy.Recovery{Keep: policy.KeepSize, Messages: 6, Bytes: 6, Duration: 7 * time.Second, Always: true},
		Exclusive:  true,
		Existence:  policy.Existence{NoAutoCreate: true, Collect: true, CollectAfter: 8 * time.Second},
		Duplicates: policy.Duplicates{Window: 1000, Property: "id"},
		Groups:     policy.Groups{Most: 64, Buckets: true, Rebalance: true},
		Start:      policy.Start{Consumers: 3, Wait: 500 * time.Millisecond},
		Advise: policy.Advise{
			SlowConsumers: true, FastProducers: true, Discarded: true, Delivered: true, Consumed: true, Full: true,
			NoConsumers: true, Body: true,
		},
	}
	if diff := cmp.Diff(want, *set.For(message.Queue("b"))); diff != "" {
		t.Error(diff)
	}
	want.Redelivery.Maximum, want.Redelivery.Avoidance = 3, 0
	if diff := cmp.Diff(want, *set.For(message.Queue("a"))); diff != "" {
		t.Error(diff)
	}
}

func TestPoliciesThatShowPrintsLoadAsTheSame(t *testing.T) {
	l, err := Load(Inputs{File: writeFile(t, "a.yaml", everyPolicy)})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := l.WriteYAML(&b, true); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Inputs{File: writeFile(t, "b.yaml", b.String())})
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if diff := cmp.Diff(l.Policies, again.Policies); diff != "" {
		t.Error(diff)
	}
	if changed := l.Changed(again); len(changed) != 0 {
		t.Errorf("changed: %q", changed)
	}
	*again.Policies[1].Redelivery.MaximumRedeliveries = 4
	if changed := l.Changed(again); len(changed) != 1 || changed[0] != "destinationPolicy" {
		t.Errorf("changed: %q", changed)
	}
}

func TestPoliciesThatMakeNoSenseAreErrors(t *testing.T) {
	for _, test := range []struct{ name, entry, want string }{
		{"no pattern", "{sync: never}", "destinationPolicy[0]: needs one of queue, topic, tempQueue and tempTopic"},
		{"two patterns", "{queue: a, topic: b, sync: never}", "destinationPolicy[0]: needs one of"},
		{"composite", `{queue: "a,b", sync: never}`, "one pattern for each entry"},
		{"nothing said", "{tempQueue: a}", "says nothing about temp-queue://a"},
		{"negative limit", "{queue: a, maxMessages: -1}", "destinationPolicy[0].maxMessages: -1 is out of range"},
		{"no prefetch", "{queue: a, topicPrefetch: 0}", "destinationPolicy[0].topicPrefetch: 0 is out of range"},
		{"overflow", "{queue: a, overflow: dropNewest}", `"dropNewest" is not one of block, reject, dropOldest`},
		{"redeliveries", "{queue: a, redeliveryPolicy: {maximumRedeliveries: -2}}", "redeliveryPolicy.maximumRedeliveries: -2 is out of range"},
		{"multiplier", "{queue: a, redeliveryPolicy: {backOffMultiplier: 0.5}}", "backOffMultiplier: 0.5 is out of range"},
		{"no number", "{queue: a, redeliveryPolicy: {backOffMultiplier: NaN}}", "backOffMultiplier: NaN is out of range"},
		{"a text", "{queue: a, redeliveryPolicy: {backOffMultiplier: x}}", `"x" is not a number`},
		{"delay without unit", "{queue: a, redeliveryPolicy: {redeliveryDelay: 5}}", `"5" has no unit`},
		{"dead letters everywhere", `{queue: a, deadLetterStrategy: {deadLetterQueue: ">"}}`, `">" is not the name of one queue`},
		{"prefix", `{queue: a, deadLetterStrategy: {queuePrefix: "a,b"}}`, `deadLetterStrategy.queuePrefix: "a,b" can't be part`},
		{"strategy", "{queue: a, deadLetterStrategy: individual}", "destinationPolicy.deadLetterStrategy: needs keys below it"},
		{"unknown", "{queue: a, queuePrefech: 1}", "did you mean queuePrefetch?"},
		{"not a policy's", "{queue: a, dispatchPolicy: 1}", `unknown key "dispatchPolicy"`},
		{"pending", "{topic: a, pendingMessageLimitStrategy: {limit: -2}}", "pendingMessageLimitStrategy.limit: -2 is out of range"},
		{"part of the prefetch", "{topic: a, pendingMessageLimitStrategy: {type: prefetchRate}}", "prefetchRate needs a multiplier"},
		{"no part of the prefetch", "{topic: a, pendingMessageLimitStrategy: {multiplier: 0}}", "pendingMessageLimitStrategy.multiplier: 0 is out of range"},
		{"property", "{topic: a, messageEvictionStrategy: {type: uniqueProperty}}", "uniqueProperty needs a propertyName"},
		{"how slow", "{topic: a, slowConsumerStrategy: {maxTimeSinceLastAck: 0s}}", "slowConsumerStrategy.maxTimeSinceLastAck: 0s is out of range"},
		{"how often", "{topic: a, slowConsumerStrategy: {checkPeriod: 0s}}", "slowConsumerStrategy.checkPeriod: 0s is out of range"},
		{"nothing kept", "{topic: a, subscriptionRecoveryPolicy: {maximumSize: 0}}", "subscriptionRecoveryPolicy.maximumSize: 0 is out of range"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Load(Inputs{File: writeFile(t, "e.yaml", "destinationPolicy:\n  - "+test.entry+"\n")})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
		})
	}
}

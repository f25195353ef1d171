package api

import (
	"net/http"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
)

// policyModel is what holds for a destination, with the configuration's names.
// Times are in milliseconds.
type policyModel struct {
	Destination string          `json:"destination"`
	AutoCreate  bool            `json:"autoCreate"`
	Exclusive   bool            `json:"allConsumersExclusiveByDefault"`
	Collect     bool            `json:"gcInactiveDestinations"`
	MaxMessages int             `json:"maxMessages"`
	Overflow    string          `json:"overflow"`
	Prefetch    prefetchModel   `json:"prefetch"`
	Redelivery  redeliveryModel `json:"redeliveryPolicy"`
	DeadLetter  deadLetterModel `json:"deadLetterStrategy"`
	Pending     pendingModel    `json:"pendingMessageLimitStrategy"`
	Slow        slowModel       `json:"slowConsumerStrategy"`
	Recovery    recoveryModel   `json:"subscriptionRecoveryPolicy"`
}

type prefetchModel struct {
	Queue   int `json:"queue"`
	Browser int `json:"browser"`
	Topic   int `json:"topic"`
	Durable int `json:"durable"`
}

type redeliveryModel struct {
	Maximum    int     `json:"maximumRedeliveries"`
	Initial    int64   `json:"initialRedeliveryDelay"`
	Delay      int64   `json:"redeliveryDelay"`
	Backoff    bool    `json:"useExponentialBackOff"`
	Multiplier float64 `json:"backOffMultiplier"`
	Longest    int64   `json:"maximumRedeliveryDelay"`
}

type deadLetterModel struct {
	Type          string `json:"type"`
	Target        string `json:"target,omitempty"`
	Expired       bool   `json:"processExpired"`
	NonPersistent bool   `json:"processNonPersistent"`
	Expiration    int64  `json:"expiration"`
}

type pendingModel struct {
	Limit      int     `json:"limit"`
	Multiplier float64 `json:"multiplier,omitempty"`
	Eviction   string  `json:"messageEvictionStrategy"`
	Property   string  `json:"propertyName,omitempty"`
}

type slowModel struct {
	Type            string `json:"type"`
	MaxSlowCount    int    `json:"maxSlowCount"`
	MaxSlowDuration int64  `json:"maxSlowDuration"`
	MaxSinceLastAck int64  `json:"maxTimeSinceLastAck"`
	AbortConnection bool   `json:"abortConnection"`
}

type recoveryModel struct {
	Type   string `json:"type"`
	Always bool   `json:"alwaysRetroactive"`
}

var (
	overflowNames = [...]string{policy.Block: "block", policy.Reject: "reject", policy.DropOldest: "dropOldest"}
	strategyNames = [...]string{policy.Shared: "shared", policy.Individual: "individual", policy.Discard: "discarding"}
	evictionNames = [...]string{
		policy.EvictOldest: "oldest", policy.EvictLowest: "oldestMessageWithLowestPriority", policy.EvictSame: "uniqueProperty",
	}
	slowNames = [...]string{policy.AbortNone: "none", policy.AbortSlow: "abortSlowConsumer", policy.AbortSilent: "abortSlowAckConsumer"}
	keepNames = [...]string{
		policy.KeepNothing: "none", policy.KeepLast: "lastImage", policy.KeepCount: "fixedCount", policy.KeepSize: "fixedSized", policy.KeepTime: "timed",
	}
)

func showPolicy(d message.Destination, p *policy.Policy) policyModel {
	r, l := &p.Redelivery, &p.DeadLetter
	m := policyModel{
		Destination: d.String(), AutoCreate: !p.NoAutoCreate, Exclusive: p.Exclusive, Collect: p.Collect,
		MaxMessages: p.Limit.Messages, Overflow: overflowNames[p.Limit.Overflow],
		Prefetch: prefetchModel{p.Prefetch.Queue, p.Prefetch.Browser, p.Prefetch.Topic, p.Prefetch.Durable},
		Redelivery: redeliveryModel{
			r.Maximum, r.Initial.Milliseconds(), r.Delay.Milliseconds(), r.Backoff, r.Multiplier, r.Longest.Milliseconds(),
		},
		DeadLetter: deadLetterModel{
			Type: strategyNames[l.Strategy], Expired: l.Expired, NonPersistent: l.NonPersistent, Expiration: l.Expiration.Milliseconds(),
		},
		Pending: pendingModel{p.Pending.Limit, p.Pending.Multiplier, evictionNames[p.Pending.Evict], p.Pending.Property},
		Slow: slowModel{
			slowNames[p.Slow.Abort], p.Slow.Count, p.Slow.Duration.Milliseconds(), p.Slow.Silence.Milliseconds(), p.Slow.Connection,
		},
		Recovery: recoveryModel{keepNames[p.Recovery.Keep], p.Recovery.Always},
	}
	if to, ok := l.Target(d, ""); ok {
		m.DeadLetter.Target = to.String()
	}
	return m
}

// getPolicy answers what holds for a destination, which need not exist.
func (c *call) getPolicy() error {
	q, err := c.query("destination")
	if err != nil {
		return err
	}
	d, err := message.ParseDestination(q.Get("destination"), message.KindQueue)
	if err == nil && (d.IsComposite() || message.IsPattern(d.Name)) {
		err = invalid("%q names more than one destination", d.Name)
	}
	if err != nil {
		return invalid("destination: %v", err)
	}
	if permit := c.permitted(); permit != nil && !permit(d) {
		return &problem{status: http.StatusForbidden, detail: c.who.name + " has no permission for " + d.String()}
	}
	return c.json(http.StatusOK, showPolicy(d, c.b.Policy(d)))
}

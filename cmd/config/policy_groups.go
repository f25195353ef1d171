package config

import (
	"fmt"
	"time"

	"github.com/entrepot-mq/entrepot/core/policy"
)

// MessageGroups are the settings of a destinationPolicy about message groups,
// and when a queue begins to serve.
type MessageGroups struct {
	GroupMap              MessageGroupMap `key:"messageGroupMapFactory"`
	RebalanceGroups       *bool           `key:"rebalanceMessageGroups" doc:"message groups are shared out anew when a consumer joins (false)"`
	ConsumersBeforeStarts *int            `key:"consumersBeforeDispatchStarts" doc:"consumers that a queue without any waits for before it serves them (0)"`
	TimeBeforeStarts      *time.Duration  `key:"timeBeforeDispatchStarts" doc:"how long it waits at most, or without consumersBeforeDispatchStarts always (0)"`
}

// MessageGroupMap says of how many groups a queue knows the owner.
type MessageGroupMap struct {
	Type *string `key:"type" oneof:"cached bucket simple" doc:"the owners of the groups in use are known, up to size; or groups share size owners by a hash of their names; or as cached with 100000 (cached)"`
	Size *int    `key:"size" doc:"groups that have an owner of their own, or buckets (1024)"`
}

// simpleGroups is how many groups a simple map knows: ActiveMQ's has no bound.
const simpleGroups = 100_000

func (g *MessageGroups) apply(p *policy.Policy) {
	if g.GroupMap.Type != nil {
		p.Groups.Buckets = *g.GroupMap.Type == "bucket"
		if *g.GroupMap.Type == "simple" {
			p.Groups.Most = simpleGroups
		}
	}
	give(&p.Groups.Most, g.GroupMap.Size)
	give(&p.Groups.Rebalance, g.RebalanceGroups)
	give(&p.Start.Consumers, g.ConsumersBeforeStarts)
	give(&p.Start.Wait, g.TimeBeforeStarts)
}

func (g *MessageGroups) check(number func(setting string, value *int, least, most int), fail func(setting, message, hint string)) {
	number("messageGroupMapFactory.size", g.GroupMap.Size, 1, 1_000_000)
	number("consumersBeforeDispatchStarts", g.ConsumersBeforeStarts, 0, 1_000_000)
	if t := g.TimeBeforeStarts; t != nil && (*t < 0 || *t > time.Hour) {
		fail("timeBeforeDispatchStarts", fmt.Sprintf("%v is out of range", *t), "give 0s to 1h")
	}
	if k := g.GroupMap.Type; k != nil && *k == "simple" && g.GroupMap.Size != nil {
		fail("messageGroupMapFactory.size", "a simple map has no size", "write type: cached")
	}
}

// DuplicateDetection is how messages are found that a client sends again.
type DuplicateDetection struct {
	Window   *int    `key:"window" doc:"messages whose ids are remembered for each destination: one of them that comes again is confirmed and not stored; 0 for none (0)"`
	Property *string `key:"property" doc:"the property that holds the id; messages without it are known by their message id, if their protocol has one (_AMQ_DUPL_ID)"`
}

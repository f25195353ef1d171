package policy

import (
	"fmt"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// VirtualTopic makes queues of topics: what is published to a topic that Name
// selects also goes to each queue named prefix, topic, postfix that exists,
// where consumers compete (ActiveMQ's virtual destinations).
type VirtualTopic struct {
	Name    string `json:"name"`   // pattern of topics: VirtualTopic.>
	Prefix  string `json:"prefix"` // of queues: Consumer.*. where * is one element
	Postfix string `json:"postfix,omitempty"`
	// SelectorAware keeps out of a queue what no consumer of it selects. The
	// selectors of those that were there last count while there are none.
	SelectorAware bool `json:"selectorAware,omitempty"`
}

// DefaultVirtualTopics are those of a broker that is not told about any.
var DefaultVirtualTopics = []VirtualTopic{{Name: "VirtualTopic.>", Prefix: "Consumer.*."}}

// Check reports what makes no sense.
func (v *VirtualTopic) Check() error {
	switch {
	case message.ValidateName(v.Name) != nil || message.Topic(v.Name).IsComposite():
		return fmt.Errorf("virtual topic %q: not a pattern of topics", v.Name)
	case !strings.HasSuffix(v.Prefix, ".") || strings.ContainsAny(v.Prefix, ">,") || len(v.Prefix) > message.MaxNameLength/2:
		return fmt.Errorf("virtual topic %q: the prefix %q is not, as Consumer.*. is, elements with a dot behind each", v.Name, v.Prefix)
	case v.Postfix != "" && !strings.HasPrefix(v.Postfix, ".") || strings.ContainsAny(v.Postfix, "*>,") || len(v.Postfix) > message.MaxNameLength/4:
		return fmt.Errorf("virtual topic %q: the postfix %q does not begin with a dot, or has wildcards", v.Name, v.Postfix)
	}
	return nil
}

// Source returns the topic that a queue of that name gets messages of.
func (v *VirtualTopic) Source(queue string) (name string, ok bool) {
	if queue, ok = strings.CutSuffix(queue, v.Postfix); !ok {
		return "", false
	}
	for element := range strings.SplitSeq(strings.TrimSuffix(v.Prefix, "."), ".") {
		mine, rest, more := strings.Cut(queue, ".")
		if !more || mine == "" || element != "*" && element != mine {
			return "", false
		}
		queue = rest
	}
	return queue, queue != "" && message.Matches(v.Name, queue)
}

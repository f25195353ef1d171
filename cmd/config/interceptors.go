package config

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/policy"
	"github.com/entrepot-mq/entrepot/core/selector"
)

// Interceptors decide where else messages go than to where they are sent.
type Interceptors struct {
	VirtualTopics []VirtualTopic  `key:"virtualTopics" doc:"topics whose messages also go to queues named for them, if those exist"`
	Composites    []Composite     `key:"composites" doc:"queues and topics whose messages go to others"`
	Mirrors       []MirroredQueue `key:"mirroredQueues" doc:"queues whose messages also go to topics named for them"`
}

// VirtualTopic is an entry of virtualTopics.
type VirtualTopic struct {
	Name          string `key:"name" doc:"pattern of topics (VirtualTopic.>)"`
	Prefix        string `key:"prefix" doc:"before the topic's name in the names of queues; * stands for one element (Consumer.*.)"`
	Postfix       string `key:"postfix" doc:"behind the topic's name"`
	SelectorAware bool   `key:"selectorAware" doc:"a queue gets only what one of its consumers selects; while there are none, those count that were there last"`
}

// Composite is an entry of composites.
type Composite struct {
	Queue       string      `key:"queue" doc:"pattern of queues that clients send to"`
	Topic       string      `key:"topic" doc:"pattern of topics that clients send to"`
	ForwardOnly *bool       `key:"forwardOnly" doc:"nothing stays there (true)"`
	ForwardTo   []ForwardTo `key:"forwardTo" doc:"list of where messages go"`
}

// ForwardTo is an entry of forwardTo: ActiveMQ's queue, topic and
// filteredDestination.
type ForwardTo struct {
	Queue    string `key:"queue" doc:"name of a queue"`
	Topic    string `key:"topic" doc:"name of a topic"`
	Selector string `key:"selector" doc:"which messages; empty for all"`
}

// MirroredQueue is an entry of mirroredQueues.
type MirroredQueue struct {
	Queue   string `key:"queue" doc:"pattern of queues (>)"`
	Prefix  string `key:"prefix" doc:"before the queue's name in the topic's name (VirtualTopic.Mirror.)"`
	Postfix string `key:"postfix" doc:"behind the queue's name"`
}

func defaultInterceptors() Interceptors {
	return Interceptors{VirtualTopics: []VirtualTopic{{Name: "VirtualTopic.>", Prefix: "Consumer.*."}}}
}

// Virtual returns the virtual topics for the broker; not nil, since none is a
// choice.
func (i *Interceptors) Virtual() []policy.VirtualTopic {
	out := make([]policy.VirtualTopic, len(i.VirtualTopics))
	for n, t := range i.VirtualTopics {
		out[n] = policy.VirtualTopic{
			Name: or(t.Name, "VirtualTopic.>"), Prefix: or(t.Prefix, "Consumer.*."), Postfix: t.Postfix, SelectorAware: t.SelectorAware,
		}
	}
	return out
}

// Forwards returns the composite destinations and mirrored queues for the
// policy.
func (i *Interceptors) Forwards() (out []policy.Forward) {
	for _, c := range i.Composites {
		f := policy.Forward{From: queueOrTopic(c.Queue, c.Topic), Only: c.ForwardOnly == nil || *c.ForwardOnly}
		for _, to := range c.ForwardTo {
			f.To = append(f.To, policy.ForwardTo{Destination: queueOrTopic(to.Queue, to.Topic), Selector: to.Selector})
		}
		out = append(out, f)
	}
	for _, m := range i.Mirrors {
		out = append(out, policy.Forward{From: message.Queue(or(m.Queue, ">")), To: []policy.ForwardTo{
			{Destination: message.Topic(or(m.Prefix, "VirtualTopic.Mirror.")), Wrap: true, Suffix: m.Postfix},
		}})
	}
	return out
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func queueOrTopic(queue, topic string) message.Destination {
	if topic != "" {
		return message.Topic(topic)
	}
	return message.Queue(queue)
}

// Existing returns the queues and topics that exist from the start. Those of a
// valid configuration can be read.
func (c *Config) Existing() (out []message.Destination) {
	for _, text := range c.Destinations {
		if d, err := readDestination(text); err == nil {
			out = append(out, d)
		}
	}
	return out
}

func readDestination(text string) (message.Destination, error) {
	d, err := message.ParseDestination(text, message.KindQueue)
	switch {
	case err != nil:
		return d, err
	case d.Kind != message.KindQueue && d.Kind != message.KindTopic, d.IsComposite(), message.IsPattern(d.Name):
		return d, fmt.Errorf("%q is not one queue or topic", clip(text))
	}
	return d, nil
}

func (v *validator) destinations(c *Config) {
	for _, text := range c.Destinations {
		if _, err := readDestination(text); err != nil {
			v.fail("destinations", err.Error(), "write queue://orders or topic://news")
		}
	}
	v.duration("schedulePeriodForDestinationPurge", c.PurgePeriod, 10*time.Millisecond, 24*time.Hour)
	v.number("maxPurgedDestinationsPerSweep", c.MaxPurged, 0, math.MaxInt32)
}

func (v *validator) interceptors(i *Interceptors) {
	const section = "destinationInterceptors"
	fail := func(list string, n int, err error) {
		v.problems = append(v.problems, &SettingError{
			Where: v.from.Origin(section + "." + list), Key: fmt.Sprintf("%s.%s[%d]", section, list, n), Message: err.Error(),
		})
	}
	for n, t := range i.Virtual() {
		if err := t.Check(); err != nil {
			fail("virtualTopics", n, err)
		}
	}
	forwards := i.Forwards()
	for n := range i.Composites {
		if err := checkComposite(&i.Composites[n], &forwards[n]); err != nil {
			fail("composites", n, err)
		}
	}
	for n := range i.Mirrors {
		if err := forwards[len(i.Composites)+n].Check(); err != nil {
			fail("mirroredQueues", n, err)
		}
	}
}

func checkComposite(c *Composite, f *policy.Forward) error {
	if (c.Queue == "") == (c.Topic == "") {
		return errors.New("needs one of queue and topic")
	}
	for _, to := range c.ForwardTo {
		if (to.Queue == "") == (to.Topic == "") {
			return errors.New("each entry of forwardTo needs one of queue and topic")
		}
		if strings.TrimSpace(to.Selector) == "" {
			continue
		}
		if _, err := selector.Parse(to.Selector, selector.Options{ConvertStrings: true}); err != nil {
			return fmt.Errorf("selector: %w", err)
		}
	}
	return f.Check()
}

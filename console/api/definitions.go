package api

import (
	"net/http"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// definitions are what exists beside messages: the same document is exported
// and imported.
type definitions struct {
	Version       int                 `json:"version"`
	Queues        []queueDefinition   `json:"queues"`
	Topics        []topicDefinition   `json:"topics"`
	Subscriptions []durableDefinition `json:"subscriptions"`
}

type durableDefinition struct {
	ClientID string `json:"clientId"`
	Name     string `json:"name"`
	Topic    string `json:"topic"`
	Selector string `json:"selector,omitempty"`
	NoLocal  bool   `json:"noLocal,omitempty"`
	Shared   bool   `json:"shared,omitempty"`
}

// topicDefinition is a topic that was made on purpose.
type topicDefinition struct {
	Name string `json:"name"`
}

type queueDefinition struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused,omitempty"`
}

const definitionsVersion = 1

// most definitions that a document may hold.
const maxDefinitions = 100_000

func (c *call) exportDefinitions() error {
	out := definitions{Version: definitionsVersion, Queues: []queueDefinition{}, Topics: []topicDefinition{}, Subscriptions: []durableDefinition{}}
	permit := c.permitted()
	for l := (broker.List{Limit: broker.MaxPage, Permit: permit}); ; l.Offset += broker.MaxPage {
		got, err := c.b.Queues(l, broker.AnyQueue)
		if err != nil {
			return err
		}
		for _, q := range got.Items {
			out.Queues = append(out.Queues, queueDefinition{q.Destination.Name, q.Paused})
		}
		if l.Offset+len(got.Items) >= got.Total || len(got.Items) == 0 {
			break
		}
	}
	for _, name := range c.b.Topics() {
		if permit == nil || permit(message.Topic(name)) {
			out.Topics = append(out.Topics, topicDefinition{name})
		}
	}
	for _, d := range c.b.Durables() {
		if permit == nil || permit(message.Topic(d.Topic)) {
			out.Subscriptions = append(out.Subscriptions, durableDefinition(d))
		}
	}
	return c.json(http.StatusOK, out)
}

// defined says what an import made; the rest existed.
type defined struct {
	Queues        int `json:"queues"`
	Topics        int `json:"topics"`
	Subscriptions int `json:"subscriptions"`
}

// importDefinitions makes what doesn't exist. It removes and changes nothing
// that does, so it can be repeated.
func (c *call) importDefinitions() error {
	var in definitions
	if err := c.read(&in); err != nil {
		return err
	}
	switch n := len(in.Queues) + len(in.Topics) + len(in.Subscriptions); {
	case in.Version != definitionsVersion:
		return invalid("version %d is unknown: this broker writes and reads version %d", in.Version, definitionsVersion)
	case n > maxDefinitions:
		return invalid("%d definitions at once, the limit is %d", n, maxDefinitions)
	}
	if err := c.mayDefine(&in); err != nil {
		return err
	}
	out, err := c.define(&in)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, out)
}

// mayDefine asks for every permission before anything is made.
func (c *call) mayDefine(in *definitions) error {
	for _, q := range in.Queues {
		if err := c.may(security.Create, message.Queue(q.Name)); err != nil {
			return err
		}
	}
	for _, t := range in.Topics {
		if err := c.may(security.Create, message.Topic(t.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) define(in *definitions) (out defined, err error) {
	for _, q := range in.Queues {
		made, err := c.b.CreateQueue(q.Name)
		if err != nil {
			return out, err
		}
		if !made {
			continue
		}
		out.Queues++
		if q.Paused {
			if err := c.b.SetPaused(q.Name, true); err != nil {
				return out, err
			}
		}
	}
	for _, t := range in.Topics {
		made, err := c.b.CreateTopic(t.Name)
		if err != nil {
			return out, err
		}
		if made {
			out.Topics++
		}
	}
	for _, d := range in.Subscriptions {
		made, err := c.b.CreateDurable(broker.DurableID(d))
		if err != nil {
			return out, err
		}
		if made {
			out.Subscriptions++
		}
	}
	return out, nil
}

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

type queueDefinition struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused,omitempty"`
}

const definitionsVersion = 1

// most definitions that a document may hold.
const maxDefinitions = 100_000

func (c *call) exportDefinitions() error {
	out := definitions{Version: definitionsVersion, Queues: []queueDefinition{}, Subscriptions: []durableDefinition{}}
	for l := (broker.List{Limit: broker.MaxPage}); ; l.Offset += broker.MaxPage {
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
	for _, d := range c.b.Durables() {
		out.Subscriptions = append(out.Subscriptions, durableDefinition(d))
	}
	return c.json(http.StatusOK, out)
}

// defined says what an import made; the rest existed.
type defined struct {
	Queues        int `json:"queues"`
	Subscriptions int `json:"subscriptions"`
}

// importDefinitions makes what doesn't exist. It removes and changes nothing
// that does, so it can be repeated.
func (c *call) importDefinitions() error {
	var in definitions
	if err := c.read(&in); err != nil {
		return err
	}
	switch n := len(in.Queues) + len(in.Subscriptions); {
	case in.Version != definitionsVersion:
		return invalid("version %d is unknown: this broker writes and reads version %d", in.Version, definitionsVersion)
	case n > maxDefinitions:
		return invalid("%d definitions at once, the limit is %d", n, maxDefinitions)
	}
	for _, q := range in.Queues {
		if err := c.may(security.Create, message.Queue(q.Name)); err != nil {
			return err
		}
	}
	var out defined
	for _, q := range in.Queues {
		made, err := c.b.CreateQueue(q.Name)
		if err != nil {
			return err
		}
		if made {
			out.Queues++
			if q.Paused {
				if err := c.b.SetPaused(q.Name, true); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range in.Subscriptions {
		made, err := c.b.CreateDurable(broker.DurableID(d))
		if err != nil {
			return err
		}
		if made {
			out.Subscriptions++
		}
	}
	return c.json(http.StatusOK, out)
}

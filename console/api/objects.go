package api

import (
	_ "embed"
	"net/http"
	"strconv"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

//go:embed openapi.yaml
var description []byte

func (c *call) description() error {
	c.w.Header().Set("Content-Type", "application/yaml")
	_, _ = c.w.Write(description) // the client may be gone
	return nil
}

func (c *call) broker() error { return c.json(http.StatusOK, c.showBroker(c.b)) }

func (c *call) listQueues() error {
	l, q, err := c.list("state")
	if err != nil {
		return err
	}
	got, err := c.b.Queues(l, broker.QueueState(q.Get("state")))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showQueue))
}

func (c *call) createQueue() error {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.read(&body); err != nil {
		return err
	}
	if err := c.may(security.Create, message.Queue(body.Name)); err != nil {
		return err
	}
	made, err := c.b.CreateQueue(body.Name)
	if err != nil {
		return err
	}
	q, err := c.b.Queue(body.Name)
	if err != nil {
		return err
	}
	if made {
		return c.json(http.StatusCreated, showQueue(&q))
	}
	return c.json(http.StatusOK, showQueue(&q))
}

func (c *call) getQueue() error {
	q, err := c.b.Queue(c.r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showQueue(&q))
}

func (c *call) deleteQueue() error {
	q, err := c.query("force")
	if err != nil {
		return err
	}
	force, err := truth(q, "force")
	if err != nil {
		return err
	}
	if err := c.b.DeleteQueue(c.r.PathValue("name"), force); err != nil {
		return err
	}
	return c.none()
}

func (c *call) pause() error  { return c.setPaused(true) }
func (c *call) resume() error { return c.setPaused(false) }

func (c *call) setPaused(on bool) error {
	if err := c.b.SetPaused(c.r.PathValue("name"), on); err != nil {
		return err
	}
	return c.getQueue()
}

func (c *call) listTopics() error {
	l, _, err := c.list()
	if err != nil {
		return err
	}
	got, err := c.b.ListTopics(l)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showTopic))
}

func (c *call) listSubscriptions() error {
	l, q, err := c.list("durable")
	if err != nil {
		return err
	}
	durable, err := truth(q, "durable")
	if err != nil {
		return err
	}
	got, err := c.b.Subscriptions(l, durable)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showSubscription))
}

func (c *call) listConnections() error { return c.connections(false) }
func (c *call) listProducers() error   { return c.connections(true) }

func (c *call) connections(producers bool) error {
	l, _, err := c.list()
	if err != nil {
		return err
	}
	got, err := c.b.Connections(l, producers)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showConnection))
}

func (c *call) connectionID() (uint64, error) {
	id, err := strconv.ParseUint(c.r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, invalid("%.64q is not a connection's number", c.r.PathValue("id"))
	}
	return id, nil
}

func (c *call) getConnection() error {
	id, err := c.connectionID()
	if err != nil {
		return err
	}
	got, err := c.b.Connection(id)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showConnection(&got))
}

func (c *call) closeConnection() error {
	id, err := c.connectionID()
	if err != nil {
		return err
	}
	q, err := c.query("reason")
	if err != nil {
		return err
	}
	reason := q.Get("reason")
	if len(reason) > 256 {
		return invalid("the reason is longer than 256 bytes")
	}
	if err := c.b.CloseConnection(id, reason); err != nil {
		return err
	}
	return c.none()
}

func (c *call) listConsumers() error { return c.consumers(message.Destination{}) }

func (c *call) queueConsumers() error {
	name := c.r.PathValue("name")
	if _, err := c.b.Queue(name); err != nil {
		return err
	}
	return c.consumers(message.Queue(name))
}

func (c *call) consumers(d message.Destination) error {
	l, q, err := c.list("connection")
	if err != nil {
		return err
	}
	id, err := number(q, "connection", 0, 0, 1<<53)
	if err != nil {
		return err
	}
	got, err := c.b.Consumers(l, uint64(id), d)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, listed(l, got, showConsumer))
}

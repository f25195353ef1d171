package api

import (
	"net/http"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

func (c *call) createTopic() error {
	var body struct {
		Name string `json:"name"`
	}
	if err := c.read(&body); err != nil {
		return err
	}
	if err := c.may(security.Create, message.Topic(body.Name)); err != nil {
		return err
	}
	made, err := c.b.CreateTopic(body.Name)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return c.json(status, topicModel{Name: body.Name, Created: true})
}

func (c *call) deleteTopic() error {
	q, err := c.query("force")
	if err != nil {
		return err
	}
	force, err := truth(q, "force")
	if err != nil {
		return err
	}
	if err := c.b.DeleteTopic(c.r.PathValue("name"), force); err != nil {
		return err
	}
	return c.none()
}

// getTopic shows a topic, or a pattern, that ListTopics has.
func (c *call) getTopic() error {
	t, err := c.b.Topic(c.r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showTopic(&t))
}

// sharedByAll stands in paths for the client id of a subscription that has
// none, since a path can't have an empty element. A client may be called so:
// its own subscription of the name goes first.
const sharedByAll = "*"

// subscription returns client id and name of the durable subscription in the
// path, if the caller may do that to its topic.
func (c *call) subscription(action security.Action) (client, name string, err error) {
	client, name = c.r.PathValue("client"), c.r.PathValue("subscription")
	s, err := c.b.Subscription(client, name)
	if err != nil && client == sharedByAll {
		client = ""
		s, err = c.b.Subscription(client, name)
	}
	if err != nil {
		return "", "", err
	}
	return client, name, c.mayPattern(action, message.Topic(s.Topic))
}

// mayPattern asks for the permission on all that a pattern names.
func (c *call) mayPattern(action security.Action, d message.Destination) error {
	if c.o.Security == nil || c.who.principal == nil || !message.IsPattern(d.Name) {
		return c.may(action, d)
	}
	if all, _ := c.o.Security.AllowedPattern(c.who.principal, d); !all.Has(action) {
		return &problem{status: http.StatusForbidden, detail: c.who.name + " has no " + action.String() + " permission for all of " + d.String()}
	}
	return nil
}

// knows reports whether the caller may know that d, or some of what it names,
// exists: whether there is anything that the caller may do to it.
func (c *call) knows(d message.Destination) bool {
	if message.IsPattern(d.Name) {
		_, some := c.o.Security.AllowedPattern(c.who.principal, d)
		return some != 0
	}
	return c.o.Security.Allowed(c.who.principal, d) != 0
}

// permitted returns what narrows lists down to what the caller may know of,
// nil for everything.
func (c *call) permitted() func(message.Destination) bool {
	if c.o.Security == nil || c.who.principal == nil || c.who.role >= Admin {
		return nil
	}
	return c.knows
}

func (c *call) getSubscription() error {
	client, name, err := c.subscription(security.Read)
	if err != nil {
		return err
	}
	s, err := c.b.Subscription(client, name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, showSubscription(&s))
}

// createSubscription makes a durable subscription that waits for its client.
func (c *call) createSubscription() error {
	var body durableDefinition
	if err := c.read(&body); err != nil {
		return err
	}
	if err := c.mayPattern(security.Read, message.Topic(body.Topic)); err != nil {
		return err
	}
	made, err := c.b.CreateDurable(broker.DurableID(body))
	if err != nil {
		return err
	}
	s, err := c.b.Subscription(body.ClientID, body.Name)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return c.json(status, showSubscription(&s))
}

func (c *call) deleteSubscription() error {
	client, name, err := c.subscription(security.Admin)
	if err != nil {
		return err
	}
	if err := c.b.DeleteSubscription(client, name); err != nil {
		return err
	}
	return c.none()
}

func (c *call) browseSubscription() error {
	client, name, err := c.subscription(security.Read)
	if err != nil {
		return err
	}
	return c.browsing(func(o broker.Browse) (broker.Browsed, error) { return c.b.BrowseSubscription(client, name, o) })
}

func (c *call) purgeSubscription() error {
	client, name, err := c.subscription(security.Admin)
	if err != nil {
		return err
	}
	n, err := c.b.PurgeSubscription(client, name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, purged{n})
}

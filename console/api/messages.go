package api

import (
	"net/http"
	"net/url"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// Bounds of messages in answers and requests.
const (
	maxMessages = 256 << 20 // bytes of a body that is messages; the broker has a limit for each
	previewBody = 64 << 10  // of a body in a list, unless less is asked for
	wholeBody   = 1 << 30
)

// browsed is a page of messages as it goes out.
type browsed struct {
	Items []messageModel `json:"items"`
	Next  string         `json:"next,omitempty"`
}

func (c *call) browse() error {
	return c.browsing(func(o broker.Browse) (broker.Browsed, error) { return c.b.Browse(c.r.PathValue("name"), o) })
}

// browsing answers with a page of messages.
func (c *call) browsing(browse func(broker.Browse) (broker.Browsed, error)) error {
	q, err := c.query("from", "limit", "selector", "maxBody")
	if err != nil {
		return err
	}
	limit, err := number(q, "limit", 100, 1, broker.MaxPage)
	if err != nil {
		return err
	}
	most, err := number(q, "maxBody", previewBody, 0, 1<<20)
	if err != nil {
		return err
	}
	got, err := browse(broker.Browse{From: q.Get("from"), Limit: limit, Selector: q.Get("selector")})
	if err != nil {
		return err
	}
	out := browsed{Items: make([]messageModel, len(got.Messages)), Next: got.Next}
	for i := range got.Messages {
		out.Items[i] = c.showWaiting(&got.Messages[i], most)
	}
	return c.json(http.StatusOK, out)
}

// message finds the message that the path names.
func (c *call) message() (broker.Waiting, error) {
	ref, err := broker.ParseRef(c.r.PathValue("ref"))
	if err != nil {
		return broker.Waiting{}, err
	}
	return c.b.Message(c.r.PathValue("name"), ref)
}

func (c *call) getMessage() error {
	m, err := c.message()
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, c.showWaiting(&m, wholeBody))
}

// getBody answers with a body as it is, for saving it. A browser never
// displays it: it is what anybody may have sent.
func (c *call) getBody() error {
	m, err := c.message()
	if err != nil {
		return err
	}
	v, err := m.Message.View(c.o.Converters)
	if err != nil {
		return &problem{status: http.StatusUnprocessableEntity, detail: err.Error()}
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition", `attachment; filename="body"`)
	_, _ = c.w.Write(v.Body.Data) // the client may be gone
	return nil
}

func (c *call) deleteMessage() error {
	ref, err := broker.ParseRef(c.r.PathValue("ref"))
	if err != nil {
		return err
	}
	got, err := c.b.Transfer(broker.Transfer{Action: broker.Delete, From: c.r.PathValue("name"), Refs: []broker.MessageRef{ref}})
	switch {
	case err != nil:
		return err
	case got.Done == 1:
		return c.none()
	case got.Skipped[0].Reason == broker.SkipInFlight:
		return &problem{status: http.StatusConflict, detail: "the message is with a consumer"}
	}
	return &problem{status: http.StatusNotFound, detail: "the message is not there any more"}
}

// purged says how many messages went.
type purged struct {
	Removed int `json:"removed"`
}

func (c *call) purge() error {
	n, err := c.b.Purge(c.r.PathValue("name"))
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, purged{n})
}

// transferRequest names messages and says where they go.
type transferRequest struct {
	To       string   `json:"to"`
	Create   bool     `json:"create"`
	Messages []string `json:"messages"`
	Selector string   `json:"selector"`
	All      bool     `json:"all"`
	Limit    int      `json:"limit"`
	After    string   `json:"after"`
}

type transferred struct {
	Done    int    `json:"done"`
	Skipped []skip `json:"skipped"`
	Next    string `json:"next,omitempty"`
}

type skip struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

func (c *call) move() error           { return c.transfer(broker.Move) }
func (c *call) copy() error           { return c.transfer(broker.Copy) }
func (c *call) retry() error          { return c.transfer(broker.Retry) }
func (c *call) deleteMessages() error { return c.transfer(broker.Delete) }

func (c *call) transfer(action broker.Action) error {
	var body transferRequest
	if err := c.read(&body); err != nil {
		return err
	}
	if body.Limit < 0 || body.Limit > broker.MaxTransfer {
		return invalid("limit %d is not from 0 to %d", body.Limit, broker.MaxTransfer)
	}
	t := broker.Transfer{
		Action: action, From: c.r.PathValue("name"), Create: body.Create, All: body.All,
		Selector: body.Selector, Limit: body.Limit, After: body.After,
	}
	for _, s := range body.Messages {
		ref, err := broker.ParseRef(s)
		if err != nil {
			return err
		}
		t.Refs = append(t.Refs, ref)
	}
	switch {
	case (action == broker.Retry || action == broker.Delete) && body.To != "":
		return invalid("%s has no destination", action)
	case body.To != "":
		to, err := message.ParseDestination(body.To, message.KindQueue)
		if err != nil {
			return invalid("to: %v", err)
		}
		if err := c.mayWrite(to, body.Create); err != nil {
			return err
		}
		t.To = to
	}
	if action == broker.Retry && c.who.principal != nil {
		t.Permit = func(d message.Destination) bool { return c.may(security.Write, d) == nil }
	}
	got, err := c.b.Transfer(t)
	if err != nil {
		return err
	}
	out := transferred{Done: got.Done, Next: got.Next, Skipped: make([]skip, len(got.Skipped))}
	for i, s := range got.Skipped {
		out.Skipped[i] = skip(s)
	}
	return c.json(http.StatusOK, out)
}

// mayWrite asks for the permission to put messages into d.
func (c *call) mayWrite(d message.Destination, create bool) error {
	if err := c.may(security.Write, d); err != nil || !create || !d.Kind.IsQueue() {
		return err
	}
	if _, err := c.b.Queue(d.Name); err == nil {
		return nil
	}
	return c.may(security.Create, d)
}

// sent says under which id a message was sent.
type sent struct {
	ID string `json:"id"`
}

func (c *call) send() error {
	q, err := c.query("create")
	if err != nil {
		return err
	}
	create, err := truth(q, "create")
	if err != nil {
		return err
	}
	var m messageModel
	if err := c.read(&m); err != nil {
		return err
	}
	d := message.Queue(c.r.PathValue("name"))
	if isTopic(c.r.URL) {
		d.Kind = message.KindTopic
	}
	if err := c.mayWrite(d, create); err != nil {
		return err
	}
	msg, err := c.build(c.b, &m, d)
	if err != nil {
		return err
	}
	if c.who.principal != nil {
		msg = msg.With(func(e *message.Envelope) { e.UserID = c.who.name })
	}
	if err := c.b.Send(create, msg); err != nil {
		return err
	}
	return c.json(http.StatusCreated, sent{msg.ID.String()})
}

func isTopic(u *url.URL) bool {
	return len(u.Path) > len(v1)+8 && u.Path[len(v1):len(v1)+8] == "/topics/"
}

package api

import (
	"net/http"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// scheduleModel is a scheduled message as it goes out.
type scheduleModel struct {
	ID      string        `json:"id"`
	Due     int64         `json:"due"`
	Created int64         `json:"created"`
	Left    uint32        `json:"left"`
	Delay   int64         `json:"delay,omitempty"`
	Period  int64         `json:"period,omitempty"`
	Repeat  uint32        `json:"repeat,omitempty"`
	Cron    string        `json:"cron,omitempty"`
	Zone    string        `json:"zone,omitempty"`
	Message *messageModel `json:"message,omitempty"`
}

// scheduled is a page of them.
type scheduled struct {
	Items []scheduleModel `json:"items"`
	Total int             `json:"total"`
	Next  string          `json:"next,omitempty"`
}

// showSchedule shows a schedule, with no more than maxBody bytes of its
// message's body.
func (a *API) showSchedule(s *broker.Schedule, maxBody int) scheduleModel {
	out := scheduleModel{
		ID: s.ID, Due: s.Due, Created: s.Created, Left: s.Left, Delay: s.Spec.Delay, Period: s.Spec.Period,
		Repeat: s.Spec.Repeat, Cron: s.Spec.Cron, Zone: s.Spec.Zone,
	}
	if s.Message != nil {
		m := a.showMessage(s.Message, maxBody)
		out.Message = &m
	}
	return out
}

func (c *call) listSchedules() error {
	q, err := c.query("after", "limit", "start", "end", "destination")
	if err != nil {
		return err
	}
	f := broker.ScheduleFilter{After: q.Get("after")}
	if f.Limit, err = number(q, "limit", 100, 1, broker.MaxPage); err != nil {
		return err
	}
	for name, to := range map[string]*int64{"start": &f.From, "end": &f.To} {
		n, err := number(q, name, 0, 0, 1<<53)
		if err != nil {
			return err
		}
		*to = int64(n)
	}
	if d := q.Get("destination"); d != "" {
		if f.Destination, err = message.ParseDestination(d, message.KindQueue); err != nil {
			return invalid("destination: %v", err)
		}
	}
	got, err := c.b.Schedules(f)
	if err != nil {
		return err
	}
	out := scheduled{Items: make([]scheduleModel, len(got.Items)), Total: got.Total, Next: got.Next}
	for i := range got.Items {
		out.Items[i] = c.showSchedule(&got.Items[i], previewBody)
		if m := got.Items[i].Message; m != nil && c.may(security.Read, m.Destination) != nil {
			out.Items[i].Message = nil // not for this caller's eyes
		}
	}
	return c.json(http.StatusOK, out)
}

// schedule finds the scheduled message that the path names, for somebody who
// may do action to where it goes.
func (c *call) schedule(action security.Action) (broker.Schedule, error) {
	s, err := c.b.FindSchedule(c.r.PathValue("job"))
	if err == nil && s.Message != nil {
		err = c.may(action, s.Message.Destination)
	}
	return s, err
}

func (c *call) getSchedule() error {
	s, err := c.schedule(security.Read)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, c.showSchedule(&s, wholeBody))
}

func (c *call) deleteSchedule() error {
	s, err := c.schedule(security.Admin)
	if err != nil {
		return err
	}
	if err := c.b.RemoveSchedule(s.ID); err != nil {
		return err
	}
	return c.none()
}

func (c *call) runSchedule() error {
	s, err := c.schedule(security.Admin)
	if err != nil {
		return err
	}
	if err := c.b.RunSchedule(s.ID); err != nil {
		return err
	}
	return c.none()
}

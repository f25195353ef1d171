package broker

import (
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// CreateDestination makes a queue or a topic that isn't temporary, where a
// client says before it sends that there should be one. One that is there
// stays as it is.
func (s *Session) CreateDestination(d message.Destination) error {
	if err := s.maySend(d); err != nil {
		return err
	}
	rights := s.allowed(d)
	if !rights.Has(security.Admin) {
		if err := s.b.mayAppear("create", d); err != nil {
			return err
		}
	}
	switch {
	case !rights.Has(security.Create), isAdvisory(d):
		return nil // it exists, or is made by the first message if at all
	case d.Kind == message.KindQueue:
		_, err := s.b.CreateQueue(d.Name)
		return err
	}
	_, err := s.b.CreateTopic(d.Name)
	return err
}

// DeleteDestination removes a queue or a topic with all that is in it, on
// behalf of a client, whose user must be allowed to administer it. While
// somebody consumes from it, it stays.
func (s *Session) DeleteDestination(d message.Destination) error {
	if !s.allowed(d).Has(security.Admin) {
		return s.forbid(security.Admin, "delete", d)
	}
	if d.Kind == message.KindTopic {
		return s.b.DeleteTopic(d.Name, false)
	}
	if n := s.b.consumersOf(d); n > 0 {
		return fail(CodeInUse, "delete "+d.String(), "it has %d consumers; end them first", n)
	}
	return s.b.DeleteQueue(d.Name, true)
}

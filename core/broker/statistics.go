package broker

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
	"github.com/entrepot-mq/entrepot/core/store"
)

// StatisticsPrefix is what the names of destinations begin with where clients
// ask for figures (ActiveMQ's statisticsBrokerPlugin). What is sent there is a
// request and goes nowhere else; the answers, one map for each thing, go to
// its reply-to.
const StatisticsPrefix = "ActiveMQ.Statistics."

// maxStatistics bounds the answers to one request.
const maxStatistics = 1000

// asksStatistics reports whether what is sent to d is a request.
func asksStatistics(d message.Destination) bool {
	return !d.Kind.IsTemp() && strings.HasPrefix(d.Name, StatisticsPrefix)
}

// answerStatistics answers a request.
func (s *Session) answerStatistics(m *message.Message, done Done, token uint64) {
	answers, err := s.statistics(m)
	if err != nil {
		s.refuse(err, done, token)
		return
	}
	if done != nil {
		s.commit(store.Request{Durability: store.Lazy, Done: done, Token: token})
	}
	for _, fields := range answers {
		s.b.route(message.NewView(&message.Envelope{
			ID: s.b.NewID(), Destination: m.ReplyTo, Timestamp: s.b.NowMs(), CorrelationID: m.CorrelationID,
			Type: advisoryType, Priority: message.DefaultPriority,
		}, &message.View{Body: message.MapBody(fields)}))
	}
}

func (s *Session) statistics(m *message.Message) (answers [][]message.MapEntry, err error) {
	const op = "ask for statistics"
	to := m.ReplyTo
	switch {
	case to.IsZero():
		return nil, fail(CodeInvalid, op, "there is no reply-to to send them to")
	case message.IsPattern(to.Name) || to.IsComposite():
		return nil, fail(CodeInvalid, op, "the reply-to %s is not one destination", to)
	case to.Kind.IsTemp() && !s.b.tempExists(to):
		return nil, fail(CodeNotFound, op, "the temporary destination %s does not exist", to)
	}
	if err := s.maySend(to); err != nil {
		return nil, err
	}
	about := strings.TrimPrefix(m.Destination.Name, StatisticsPrefix)
	if name, ok := strings.CutPrefix(about, "Destination."); ok && name != "" {
		return s.b.destinationStatistics(s, message.Destination{Kind: m.Destination.Kind, Name: name}), nil
	}
	switch about {
	case "Broker":
		return [][]message.MapEntry{s.b.brokerStatistics()}, nil
	case "Subscription":
		return s.b.subscriptionStatistics(s), nil
	}
	return nil, fail(CodeInvalid, op, "%q is none of %sBroker, Destination.<name>, Subscription", m.Destination.Name, StatisticsPrefix)
}

// figures are the entries of an answer, with ActiveMQ's names.
type figures []message.MapEntry

func (f *figures) text(name, value string) {
	*f = append(*f, message.MapEntry{Key: message.StringValue(name), Value: message.StringValue(value)})
}

func (f *figures) number(name string, n int64) {
	*f = append(*f, message.MapEntry{Key: message.StringValue(name), Value: message.Int64Value(n)})
}

func (b *Broker) brokerStatistics() (f figures) {
	s := b.Stats()
	f.text("brokerName", b.o.Name)
	f.text("brokerId", b.o.Name)
	f.number("size", int64(s.Messages))
	f.number("enqueueCount", int64(s.Enqueued))
	f.number("dequeueCount", int64(s.Acknowledged))
	f.number("dispatchCount", int64(s.Delivered))
	f.number("expiredCount", int64(s.Expired))
	f.number("inflightCount", int64(s.InFlight))
	f.number("consumerCount", int64(s.Consumers))
	f.number("producerCount", int64(b.producers.count()))
	f.number("memoryUsage", s.MemoryUsed)
	f.number("memoryLimit", s.MemoryLimit)
	f.number("memoryPercentUsage", s.MemoryUsed*100/max(1, s.MemoryLimit))
	for name, n := range s.ByProtocol {
		f.number(name, int64(n))
	}
	return f
}

func (p *producers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// destinationStatistics answers for the queues or topics that d selects, as
// far as the client has a right to them.
func (b *Broker) destinationStatistics(s *Session, d message.Destination) (answers [][]message.MapEntry) {
	for _, one := range b.everyDestination() {
		if len(answers) == maxStatistics {
			break
		}
		if one.Kind != d.Kind || !message.Matches(d.Name, one.Name) || s.allowed(one) == 0 {
			continue
		}
		var f figures
		f.text("brokerName", b.o.Name)
		f.text("destinationName", one.String())
		if one.Kind.IsTopic() {
			f.number("consumerCount", int64(b.consumersOf(one)))
		} else if q := b.queues.get(one); q != nil {
			st := q.Stats()
			f.number("size", int64(st.Messages))
			f.number("enqueueCount", int64(st.Enqueued))
			f.number("dequeueCount", int64(st.Dequeued))
			f.number("dispatchCount", int64(st.Dispatched))
			f.number("expiredCount", int64(st.Expired))
			f.number("inflightCount", int64(st.InFlight))
			f.number("consumerCount", int64(st.Consumers))
		}
		answers = append(answers, f)
	}
	return answers
}

// subscriptionStatistics answers for the consumers whose destinations the
// client may read.
func (b *Broker) subscriptionStatistics(s *Session) (answers [][]message.MapEntry) {
	for _, other := range b.everySession() {
		for _, c := range other.subscriptions() {
			if len(answers) == maxStatistics {
				return answers
			}
			if other != s && !s.allowed(c.Destination).Has(security.Read) {
				continue
			}
			state := c.consumer.State()
			var f figures
			f.text("brokerName", b.o.Name)
			f.text("destinationName", c.Destination.String())
			f.text("subscriptionId", other.consumerID(&c.Subscription))
			f.text("connectionId", other.connectionID())
			f.text("clientId", other.clientID)
			f.text("selector", c.Selector)
			f.number("dispatchedCounter", int64(state.Delivered))
			f.number("dispatchedQueueSize", int64(state.Unsettled))
			f.number("dequeueCounter", int64(state.Delivered)-int64(state.Unsettled))
			f.number("prefetchSize", int64(state.Window))
			answers = append(answers, f)
		}
	}
	return answers
}

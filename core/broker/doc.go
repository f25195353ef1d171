// Package broker is the core: sessions, routing, credit, settlement,
// transactions, and the state machine that the store's log drives.
//
// Frontends call [Broker.Connect] and speak to the [Session]; the broker
// speaks to the frontend through its [Sink]. The assembly (cmd) opens and
// closes it.
//
// # What is state and what is the leader's own
//
// State is what [machine.Apply] changes: durable messages in queues, queues,
// durable subscriptions, delivery counts. It is the same on every node at the
// same index of the log. Sessions, consumers, credit, unsettled deliveries,
// transient messages and non-durable subscriptions exist only where clients
// are served.
//
// # Lock order
//
// registry.mu or shares.mu, then Queue.mu or Subscriber.mu, then Consumer.mu, then what
// Sink.Deliver takes. Transaction.mu and prepared.mu come before Queue.mu,
// flow.mu before Subscriber.mu. Session.mu, rights.mu, patternConsumer.mu and advisories.mu are
// leaves. The store's Commit may be called under none of them. Sinks are called under Consumer.mu
// (Deliver) or none (Resume, Closed). The exceptions are schedules.order
// and virtuals.order, which is held while a decision about scheduled messages is queued with Commit
// and under which nothing else is taken but the locks of the schedule's table.
// storedSessions.order is the same for wills and the ends of stored sessions;
// storedSessions.mu comes behind it and before registry.mu and the topics'
// table. Listening.mu comes before the table and Session.mu.
package broker

// Package topic routes what is published to topics: a trie of subscriptions
// by pattern, and the non-durable subscriptions themselves, each a bounded
// queue in memory. Durable subscriptions are queues (core/queue) that the
// trie knows as bindings.
package topic

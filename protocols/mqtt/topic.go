package mqtt

import (
	"bytes"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// Topic names and filters change places with the broker's own: '/' with '.',
// '+' with '*', '#' with '>', as in ActiveMQ, so that a/b is topic a.b of every
// other protocol. A comma, which would make several destinations of a name,
// changes places with U+201A, which looks like one.
const lowQuote = "‚"

// Limits of what a client may name.
const (
	maxFilter = message.MaxNameLength
	maxLevels = message.MaxNameElements
)

// appendSwapped appends s in the other notation. The exchange is its own
// inverse.
func appendSwapped(b []byte, s string) []byte {
	from := len(b)
	b = append(b, s...)
	foreign := false
	for i, c := range b[from:] {
		switch c {
		case '/':
			b[from+i] = '.'
		case '.':
			b[from+i] = '/'
		case '+':
			b[from+i] = '*'
		case '*':
			b[from+i] = '+'
		case '#':
			b[from+i] = '>'
		case '>':
			b[from+i] = '#'
		case ',', lowQuote[0]:
			foreign = true
		}
	}
	if !foreign {
		return b
	}
	return append(b[:from], commas.Replace(string(b[from:]))...)
}

var commas = strings.NewReplacer(",", lowQuote, lowQuote, ",")

// swapped is appendSwapped for a string of its own.
func swapped(s string) string { return string(appendSwapped(nil, s)) }

// checkTopicName holds a topic name to the rules [MQTT-4.7.3-1] and to the
// broker's limits.
func checkTopicName(t []byte) error {
	switch {
	case len(t) == 0:
		return faultf(topicNameInvalid, "topic name is empty") // [MQTT-4.7.3-1]
	case bytes.ContainsAny(t, "+#"):
		return faultf(topicNameInvalid, "topic name has a wildcard") // [MQTT-3.3.2-2]
	}
	return checkLength(t, topicNameInvalid)
}

func checkLength(t []byte, r reason) error {
	switch {
	case len(t) > maxFilter:
		return faultf(r, "topic is longer than %d bytes", maxFilter)
	case bytes.Count(t, slash) >= maxLevels:
		return faultf(r, "topic has more than %d levels", maxLevels)
	}
	return nil
}

var slash = []byte{'/'}

// checkFilter holds a topic filter to the rules: a wildcard stands alone in
// its level, '#' in the last one [MQTT-4.7.1-1] [MQTT-4.7.1-2].
func checkFilter(t string) error {
	if t == "" {
		return faultf(topicFilterInvalid, "topic filter is empty") // [MQTT-4.7.3-1]
	}
	for rest, more := t, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if len(level) > 1 && strings.ContainsAny(level, "+#") || level == "#" && more {
			return faultf(topicFilterInvalid, "topic filter %q has a wildcard that isn't a level of its own, or # before its end", clip(t))
		}
	}
	return checkLength([]byte(t), topicFilterInvalid)
}

// sharedPrefix begins the filter of a shared subscription (MQTT 5.0, 4.8.2).
const sharedPrefix = "$share/"

// cutShare splits a filter of a shared subscription: "$share/group/a/+" is
// group "group" of filter "a/+". group is "" for any other filter.
func cutShare(t string) (group, filter string, err error) {
	rest, ok := strings.CutPrefix(t, sharedPrefix)
	if !ok {
		return "", t, nil
	}
	group, filter, ok = strings.Cut(rest, "/")
	if !ok || group == "" || filter == "" || strings.ContainsAny(group, "+#") {
		// [MQTT-4.8.2-1] [MQTT-4.8.2-2]
		return "", "", faultf(topicFilterInvalid, "shared subscription %q is not $share/group/filter", clip(t))
	}
	return group, filter, nil
}

// matches reports whether a filter, in the broker's notation, selects a topic.
// A wildcard in the first level does not select what begins with $
// [MQTT-4.7.2-1].
func matches(pattern, name string) bool {
	if len(name) > 0 && name[0] == '$' && (pattern[0] == '*' || pattern[0] == '>') {
		if first, _, _ := strings.Cut(pattern, "."); first == "*" || first == ">" {
			return false
		}
	}
	return message.Matches(pattern, name)
}

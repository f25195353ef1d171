package stomp

import (
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
)

// The spellings of destinations (ActiveMQ's). A name without one of them is a
// queue of that name.
const (
	prefixQueue           = "/queue/"
	prefixTopic           = "/topic/"
	prefixTempQueue       = "/temp-queue/"
	prefixTempTopic       = "/temp-topic/"
	prefixRemoteTempQueue = "/remote-temp-queue/"
	prefixRemoteTempTopic = "/remote-temp-topic/"
)

const destinationAdvice = "Write /queue/name, /topic/name, /temp-queue/name, /temp-topic/name, " +
	"or a list of them with commas."

// splitPrefix tells the kind and the name of one destination. local says that
// the name is the connection's own name for a temporary destination.
func splitPrefix(s string) (d message.Destination, local, known bool) {
	if len(s) == 0 || s[0] != '/' {
		return message.Queue(s), false, false
	}
	if name, ok := strings.CutPrefix(s, prefixQueue); ok {
		return message.Queue(name), false, true
	}
	if name, ok := strings.CutPrefix(s, prefixTopic); ok {
		return message.Topic(name), false, true
	}
	for _, p := range [...]struct {
		prefix string
		kind   message.Kind
		local  bool
	}{
		{prefixTempQueue, message.KindTempQueue, true},
		{prefixTempTopic, message.KindTempTopic, true},
		{prefixRemoteTempQueue, message.KindTempQueue, false},
		{prefixRemoteTempTopic, message.KindTempTopic, false},
	} {
		if name, ok := strings.CutPrefix(s, p.prefix); ok {
			return message.Destination{Kind: p.kind, Name: name}, p.local, true
		}
	}
	return message.Queue(s), false, false
}

// resolve reads a destination header. The result may point into s. Options
// behind '?' (ActiveMQ: consumer.prefetchSize and others) are returned apart.
func (c *conn) resolve(s string) (d message.Destination, options string, err error) {
	s = strings.Trim(s, " \t")
	if strings.IndexByte(s, ',') < 0 {
		s, options, _ = strings.Cut(s, "?")
		d, err = c.resolveOne(s)
		return d, options, err
	}
	var name strings.Builder
	for part := range strings.SplitSeq(s, ",") {
		part, opt, _ := strings.Cut(strings.Trim(part, " \t"), "?")
		one, err := c.resolveOne(part)
		if err != nil {
			return message.Destination{}, "", err
		}
		if options == "" {
			options = opt
		}
		if d.IsZero() {
			d.Kind = one.Kind
		} else {
			name.WriteByte(',')
		}
		if one.Kind == d.Kind {
			name.WriteString(one.Name)
		} else {
			name.WriteString(one.String())
		}
	}
	d.Name = name.String()
	return d, options, nil
}

func (c *conn) resolveOne(s string) (message.Destination, error) {
	d, local, known := splitPrefix(s)
	if local {
		return c.temporary(d)
	}
	err := message.ValidateName(d.Name)
	if !known && err == nil {
		// ActiveMQ understands its qualified names ("topic://a") here too.
		d, err = message.ParseDestination(s, message.KindQueue)
	}
	if err != nil {
		return d, refuse(destinationAdvice, "destination %q: %v", clip([]byte(s)), err)
	}
	return d, nil
}

// temps are the names that a connection gave to its temporary destinations.
type temps struct {
	made  map[message.Destination]message.Destination // the connection's name: the broker's
	names map[message.Destination]string              // the broker's: the connection's name
}

// temporary returns the connection's temporary destination of that name. It
// comes into being when it is first mentioned and lives as long as the
// connection.
func (c *conn) temporary(name message.Destination) (message.Destination, error) {
	if d, ok := c.temps.made[name]; ok { // only the reader's turn writes it
		return d, nil
	}
	if err := message.ValidateName(name.Name); err != nil {
		return name, refuse(destinationAdvice, "temporary destination %q: %v", clip([]byte(name.Name)), err)
	}
	if len(c.temps.made) >= c.set.temps {
		return name, refuse("Use fewer names; the listener option "+optTemps+" is the limit.",
			"connection has %d temporary destinations", len(c.temps.made))
	}
	d, err := c.session.CreateTemp(name.Kind)
	if err != nil {
		return name, err
	}
	name.Name = strings.Clone(name.Name) // it may lie in the read buffer
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.temps.made == nil {
		c.temps.made = make(map[message.Destination]message.Destination)
		c.temps.names = make(map[message.Destination]string)
	}
	c.temps.made[name] = d
	c.temps.names[d] = name.Name
	return d, nil
}

// appendDestination appends d as a client would write it to send there.
func (c *conn) appendDestination(b []byte, d message.Destination) []byte {
	if d.IsComposite() {
		if parts, err := d.Components(); err == nil {
			for i, p := range parts {
				if i > 0 {
					b = append(b, ',')
				}
				b = c.appendDestination(b, p)
			}
			return b
		}
	}
	prefix := ""
	switch d.Kind {
	case message.KindNone:
	case message.KindQueue:
		prefix = prefixQueue
	case message.KindTopic:
		prefix = prefixTopic
	case message.KindTempQueue, message.KindTempTopic:
		return c.appendTemporary(b, d)
	}
	return appendValue(append(b, prefix...), d.Name, c.version)
}

// appendTemporary shows a temporary destination by its short name to the
// connection that made it, and by its own name to everybody else.
func (c *conn) appendTemporary(b []byte, d message.Destination) []byte {
	c.mu.Lock()
	local, own := c.temps.names[d]
	c.mu.Unlock()
	queue := d.Kind == message.KindTempQueue
	switch {
	case own && queue:
		return appendValue(append(b, prefixTempQueue...), local, c.version)
	case own:
		return appendValue(append(b, prefixTempTopic...), local, c.version)
	case queue:
		return appendValue(append(b, prefixRemoteTempQueue...), d.Name, c.version)
	}
	return appendValue(append(b, prefixRemoteTempTopic...), d.Name, c.version)
}

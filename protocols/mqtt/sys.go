package mqtt

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/protocols"
)

// sysInterval is how often $SYS topics are published to, as in Mosquitto.
const sysInterval = 10 * time.Second

// sysTopics publishes what the broker says of itself, in Mosquitto's names,
// while some connection listens.
type sysTopics struct {
	mu       sync.Mutex
	watchers map[*conn]struct{}
	timer    *protocols.Timer
	running  sync.WaitGroup

	// guarded by loads: one publication at a time
	loads   sync.Mutex
	started time.Time
	last    time.Time
	before  Stats
	rates   [sysRates][3]float64
}

// sysRates is how many figures have averages.
const sysRates = 6

// sysFilter reports whether a filter selects $SYS topics.
func sysFilter(filter string) bool {
	return filter == broker.SystemRoot || strings.HasPrefix(filter, broker.SystemRoot+"/")
}

// watch has $SYS published from now on, until unwatch.
func (f *Frontend) watch(c *conn) {
	s := &f.sys
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = make(map[*conn]struct{})
	}
	s.watchers[c] = struct{}{}
	if s.timer == nil {
		f.announce()
		s.timer = c.net.Wheel.NewTimer(f.tick)
		s.timer.Reset(sysInterval)
	}
}

func (f *Frontend) unwatch(c *conn) {
	s := &f.sys
	s.mu.Lock()
	delete(s.watchers, c)
	last := len(s.watchers) == 0 && s.timer != nil
	if last {
		s.timer.Stop()
		s.timer = nil
	}
	s.mu.Unlock()
	if last {
		s.running.Wait()
	}
}

// tick runs on the wheel's goroutine, which publishing would hold up.
func (f *Frontend) tick() {
	s := &f.sys
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer == nil {
		return
	}
	s.running.Go(f.announce)
	s.timer.Reset(sysInterval)
}

// announce publishes all values.
func (f *Frontend) announce() {
	s := &f.sys
	s.loads.Lock()
	defer s.loads.Unlock()
	now := time.Now()
	b, m := f.opts.Broker, f.Snapshot()
	st := b.Stats()
	stored := b.StoredSessions()
	values := []struct {
		name  string
		value any
	}{
		{"version", f.opts.Server},
		{"uptime", fmt.Sprintf("%d seconds", int(now.Sub(s.started).Seconds()))},
		{"clients/connected", m.Connections},
		{"clients/active", m.Connections},
		{"clients/total", max(stored, m.Connections)},
		{"clients/disconnected", max(stored-m.Connections, 0)},
		{"messages/received", m.Packets},
		{"messages/sent", m.Delivered},
		{"messages/stored", st.Messages},
		{"store/messages/count", st.Messages},
		{"store/messages/bytes", st.MemoryUsed},
		{"publish/messages/received", m.Received},
		{"publish/messages/sent", m.Delivered},
		{"publish/messages/dropped", m.Dropped + st.Discarded},
		{"bytes/received", m.ReceivedBytes},
		{"bytes/sent", m.SentBytes},
		{"subscriptions/count", m.Subscriptions},
		{"retained messages/count", b.RetainedMessages()},
	}
	msgs := make([]*message.Message, 0, len(values)+3*sysRates)
	for _, v := range values {
		msgs = append(msgs, f.sysMessage(v.name, fmt.Sprint(v.value), now))
	}
	b.Announce(append(msgs, f.loadMessages(m, now)...))
}

// loadMessages are averages per minute over 1, 5 and 15 minutes.
func (f *Frontend) loadMessages(m Stats, now time.Time) (msgs []*message.Message) {
	s := &f.sys
	if s.last.IsZero() {
		s.last = s.started
	}
	passed := now.Sub(s.last).Minutes()
	if passed <= 0 {
		return nil
	}
	figures := [sysRates]struct {
		name       string
		now, since uint64
	}{
		{"messages/received", m.Packets, s.before.Packets},
		{"messages/sent", m.Delivered, s.before.Delivered},
		{"publish/received", m.Received, s.before.Received},
		{"publish/sent", m.Delivered, s.before.Delivered},
		{"bytes/received", m.ReceivedBytes, s.before.ReceivedBytes},
		{"bytes/sent", m.SentBytes, s.before.SentBytes},
	}
	for i, figure := range figures {
		rate := float64(figure.now-figure.since) / passed
		for k, minutes := range []float64{1, 5, 15} {
			weight := math.Exp(-passed / minutes)
			s.rates[i][k] = rate + weight*(s.rates[i][k]-rate)
			msgs = append(msgs, f.sysMessage(fmt.Sprintf("load/%s/%.0fmin", figure.name, minutes),
				strconv.FormatFloat(s.rates[i][k], 'f', 2, 64), now))
		}
	}
	s.last, s.before = now, m
	return msgs
}

func (f *Frontend) sysMessage(name, value string, now time.Time) *message.Message {
	e := &message.Envelope{
		ID: f.opts.Broker.NewID(), Destination: message.Topic(swapped(broker.SystemRoot + "/broker/" + name)),
		Priority: message.DefaultPriority, Timestamp: now.UnixMilli(),
	}
	return message.New(e, message.EncodingMQTT, []byte{0}, []byte(value))
}

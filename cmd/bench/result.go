package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// schemaVersion changes when a field of result is renamed, removed or means
// something else; new fields do not change it.
const schemaVersion = 1

// result is one run, as --json prints it. The doc tags are its documentation:
// --help prints them, so a field without one fails a test.
type result struct {
	Schema     int     `json:"schema" doc:"version of this format; it changes when a field is renamed or means something else"`
	Scenario   string  `json:"scenario" doc:"--scenario, or custom"`
	Server     string  `json:"server" doc:"address"`
	Protocol   string  `json:"protocol" doc:"--protocol"`
	Broker     string  `json:"broker,omitempty" doc:"what the broker calls itself"`
	Size       int     `json:"size" doc:"body in bytes"`
	Persistent bool    `json:"persistent" doc:"--persistent"`
	Ack        string  `json:"ack" doc:"--ack"`
	Window     int     `json:"window" doc:"--window"`
	Prefetch   int     `json:"prefetch" doc:"--prefetch"`
	Rate       float64 `json:"rate" doc:"--rate, 0 = unlimited"`
	Producers  int     `json:"producers" doc:"publishing connections"`
	Consumers  int     `json:"consumers" doc:"consuming connections"`
	Queues     int     `json:"queues" doc:"queues or topics"`
	Topic      bool    `json:"topic" doc:"--topic"`

	Published  int64   `json:"published" doc:"messages sent while measuring"`
	Confirmed  int64   `json:"confirmed" doc:"of all sent, warm-up included, those that the broker confirmed"`
	Delivered  int64   `json:"delivered" doc:"messages received while measuring, duplicates not counted"`
	Missing    int64   `json:"missing" doc:"messages that were sent (warm-up included) and did not arrive"`
	Duplicates int64   `json:"duplicates" doc:"messages that arrived again"`
	Disordered int64   `json:"disordered" doc:"messages that a consumer got after a later one of the same publisher"`
	Strays     int64   `json:"strays" doc:"deliveries that were not sent by this run"`
	Seconds    float64 `json:"seconds" doc:"from the start of the measurement to the last delivery, or without consumers to the last confirmation"`
	PublishPS  float64 `json:"published_per_s" doc:"until the last was sent and confirmed"`
	DeliverPS  float64 `json:"delivered_per_s" doc:"until the last was delivered"`

	LatencyBasis string     `json:"latency_basis,omitempty" doc:"due: from when the message was due (--rate; corrected for coordinated omission); sent: from when it was written"`
	Latency      *quantiles `json:"latency_us,omitempty" doc:"publisher to consumer, microseconds: count, mean, p50, p90, p99, p999, max"`
	Confirm      *quantiles `json:"confirm_us,omitempty" doc:"publisher to confirmation, from the same moment"`
	Pacing       *quantiles `json:"pacing_us,omitempty" doc:"how late what was due was sent, because of the generator or because --window or the socket was full: part of the other two"`

	BrokerCPU     *float64 `json:"broker_cpu_us_per_message,omitempty" doc:"with --pid: the broker's CPU microseconds per delivered message, or without consumers per published"`
	BrokerCores   *float64 `json:"broker_cpu_percent,omitempty" doc:"with --pid: of one core"`
	ForeignCores  *float64 `json:"foreign_cpu_percent,omitempty" doc:"with --pid: CPU of all other processes, of one core"`
	OwnCores      *float64 `json:"own_cpu_percent,omitempty" doc:"this generator's CPU, of one core"`
	BrokerRSS     *float64 `json:"broker_rss_mib,omitempty" doc:"with --pid: resident memory at the end, MiB"`
	BrokerPeakRSS *float64 `json:"broker_rss_peak_mib,omitempty" doc:"with --pid: the most that was seen"`

	Drain       *drainResult      `json:"drain,omitempty" doc:"drain: accepted_ms, first_ms and all_ms from the start of bench to the first connection, first and last message"`
	Backlog     *backlogResult    `json:"backlog,omitempty" doc:"backlog: waiting, left, empty_published_per_s, empty_delivered_per_s, published_ratio, delivered_ratio, filled_rss_mib"`
	Connections *connectionResult `json:"connections,omitempty" doc:"connections: opened, open, connects_per_s, kib_per_connection, cpu_us_per_connect, idle_cpu_percent"`
	Retained    *retainedResult   `json:"retained,omitempty" doc:"q_retained: topics, stored_per_s, store_cpu_us, fetched_per_s, fetch_cpu_us"`
	Startup     *startupResult    `json:"startup,omitempty" doc:"startup: accepted_ms from the start of the command to the first accepted client, idle_rss_mib after --settle"`
}

type drainResult struct {
	AcceptedMs float64 `json:"accepted_ms"`
	FirstMs    float64 `json:"first_ms"`
	AllMs      float64 `json:"all_ms"`
}

type backlogResult struct {
	Waiting        int64    `json:"waiting"` // when the measurement began
	Left           int64    `json:"left"`    // when the publishers stopped
	EmptyPublishPS float64  `json:"empty_published_per_s"`
	EmptyDeliverPS float64  `json:"empty_delivered_per_s"`
	PublishRatio   float64  `json:"published_ratio"` // with the backlog / with the empty queue
	DeliverRatio   float64  `json:"delivered_ratio"`
	FilledRSS      *float64 `json:"filled_rss_mib,omitempty"`
}

type connectionResult struct {
	Opened        int      `json:"opened"`
	Open          int      `json:"open"` // after --settle
	ConnectsPS    float64  `json:"connects_per_s"`
	KiBEach       *float64 `json:"kib_per_connection,omitempty"`
	CPUPerConnect *float64 `json:"cpu_us_per_connect,omitempty"`
	IdleCPU       *float64 `json:"idle_cpu_percent,omitempty"`
}

type retainedResult struct {
	Topics    int64    `json:"topics"`
	StoredPS  float64  `json:"stored_per_s"`
	StoreCPU  *float64 `json:"store_cpu_us,omitempty"`
	FetchedPS float64  `json:"fetched_per_s"`
	FetchCPU  *float64 `json:"fetch_cpu_us,omitempty"`
}

type startupResult struct {
	AcceptedMs float64  `json:"accepted_ms"`
	IdleRSS    *float64 `json:"idle_rss_mib,omitempty"`
}

func newResult(s *settings) *result {
	return &result{
		Schema: schemaVersion, Scenario: s.scenario, Server: s.address, Protocol: s.protocol,
		Size: s.size, Persistent: s.persistent, Ack: s.ack, Window: s.window, Prefetch: s.prefetch,
		Rate: s.rate, Producers: s.producers, Consumers: s.consumers, Queues: s.queues, Topic: s.topic,
	}
}

// setUsage notes what the meter saw while messages were handled.
func (r *result) setUsage(u usage, messages int64) {
	percent := func(d float64) *float64 { return figure(100*d/u.elapsed.Seconds(), 1) }
	if u.own >= 0 {
		r.OwnCores = percent(u.own.Seconds())
	}
	if u.haveForeign {
		r.ForeignCores = percent(u.foreign.Seconds())
	}
	if !u.haveBroker {
		return
	}
	r.BrokerCores = percent(u.broker.Seconds())
	r.BrokerRSS, r.BrokerPeakRSS = mib(u.rss), mib(u.peak)
	if messages > 0 {
		r.BrokerCPU = figure(1e6*u.broker.Seconds()/float64(messages), 3)
	}
}

func figure(v float64, digits int) *float64 {
	v = round(v, digits)
	return &v
}

func mib(bytes int64) *float64 { return figure(float64(bytes)/(1<<20), 1) }

// perSecond is n in seconds, 0 when no time passed.
func perSecond(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return round(float64(n)/seconds, 1)
}

func (r *result) writeJSON(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// fieldsHelp lists the JSON fields and what they mean.
func fieldsHelp() string {
	var b strings.Builder
	for f := range reflect.TypeFor[result]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fmt.Fprintf(&b, "  %-26s %s\n", name, f.Tag.Get("doc"))
	}
	return b.String()
}

// writeText prints what a person wants to know, figures first.
func (r *result) writeText(w io.Writer) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", label, fmt.Sprintf(format, args...))
	}
	line(r.Scenario, "%s (%s)", r.Server, orDash(r.Broker))
	r.extraLines(line)
	if r.Published+r.Delivered > 0 {
		line("delivered", "%s msg/s · %s us CPU/msg · foreign CPU %s%%", rate(r.DeliverPS), opt(r.BrokerCPU), opt(r.ForeignCores))
		line("published", "%s msg/s", rate(r.PublishPS))
		line("account", "%d published, %d delivered in %.3f s; %d missing, %d duplicates, %d disordered, %d strays",
			r.Published, r.Delivered, r.Seconds, r.Missing, r.Duplicates, r.Disordered, r.Strays)
	}
	for _, q := range []struct {
		label string
		*quantiles
	}{{"latency", r.Latency}, {"confirmed", r.Confirm}, {"pacing", r.Pacing}} {
		if q.quantiles != nil {
			line(q.label, "p50 %d  p90 %d  p99 %d  p99.9 %d  max %d us", q.P50, q.P90, q.P99, q.P999, q.Max)
		}
	}
	if r.BrokerRSS != nil {
		line("broker", "%s%% CPU, %s MiB resident (peak %s)", opt(r.BrokerCores), opt(r.BrokerRSS), opt(r.BrokerPeakRSS))
	}
	if r.OwnCores != nil {
		line("generator", "%s%% CPU", opt(r.OwnCores))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// extraLines are those of the scenarios that measure more than a rate.
func (r *result) extraLines(line func(label, format string, args ...any)) {
	if d := r.Drain; d != nil {
		line("drained", "accepted after %.0f ms, first message %.0f ms, all %.0f ms", d.AcceptedMs, d.FirstMs, d.AllMs)
	}
	if b := r.Backlog; b != nil {
		line("backlog", "%d waiting, %d left at the end; filled broker %s MiB", b.Waiting, b.Left, opt(b.FilledRSS))
		line("empty queue", "published %s/s, delivered %s/s", rate(b.EmptyPublishPS), rate(b.EmptyDeliverPS))
		line("ratio", "published %.2f, delivered %.2f of the empty queue's", b.PublishRatio, b.DeliverRatio)
	}
	if c := r.Connections; c != nil {
		line("connections", "%s KiB each · %s connects/s · %s us CPU/connect · idle CPU %s%% · %d of %d open",
			opt(c.KiBEach), rate(c.ConnectsPS), opt(c.CPUPerConnect), opt(c.IdleCPU), c.Open, c.Opened)
	}
	if t := r.Retained; t != nil {
		line("retained", "%d topics · stored %s/s, %s us CPU · fetched %s/s, %s us CPU",
			t.Topics, rate(t.StoredPS), opt(t.StoreCPU), rate(t.FetchedPS), opt(t.FetchCPU))
	}
	if s := r.Startup; s != nil {
		line("startup", "first client after %.1f ms, %s MiB at rest", s.AcceptedMs, opt(s.IdleRSS))
	}
}

// rate shortens a rate as the published tables do.
func rate(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.0fk", v/1e3)
	case v >= 1e3:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

// opt prints a figure that may not be known.
func opt(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(*v)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

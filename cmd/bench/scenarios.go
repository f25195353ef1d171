package bench

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

// kind is what a run does.
type kind string

// The kinds. Those but the first are also the names of scenarios.
const (
	kindThroughput  kind = "throughput"
	kindFill        kind = "fill"
	kindDrain       kind = "drain"
	kindBacklog     kind = "backlog"
	kindConnections kind = "connections"
	kindStartup     kind = "startup"
	kindRetained    kind = "q_retained"
)

// sharesQueue reports whether the run uses the queue that fill and drain have
// in common, whatever the process.
func (k kind) sharesQueue() bool { return k == kindFill || k == kindDrain }

// scenario is a preset: values for flags that the user did not give.
type scenario struct {
	name  string
	about string
	kind  kind
	flags string // as on a command line
}

// aheadFlags bound what a broker takes in faster than it hands it out. Without
// confirmations nothing else does with brokers that buffer, and the run would
// measure how they deliver a backlog. It is far more than is on its way between
// two reads, so that it slows nobody who keeps up.
const aheadFlags = " --ahead 50000"

const persistentFlags = "--size 1024 --persistent --window 100 --ack client-individual"

// scenarios returns the presets in the order in which they are listed. The
// names and loads are those of the published comparison of brokers, so they
// do not change.
func scenarios() []scenario {
	return []scenario{
		{"s_p_1k_w100_ci", "persistent, confirmed, window 100", kindThroughput, persistentFlags},
		{"s_p_1k_w100_auto", "the same without acknowledgements", kindThroughput, "--size 1024 --persistent --window 100 --ack auto"},
		{"s_p_1k_w1000", "persistent, confirmed, window 1000", kindThroughput, "--size 1024 --persistent --window 1000 --ack client-individual"},
		{"s_p_1k_10p10c_1q", "10 publishers and 10 consumers on one queue", kindThroughput, persistentFlags + " --producers 10 --consumers 10"},
		{"s_p_1k_10x10", "10 pairs, a queue each", kindThroughput, persistentFlags + " --producers 10 --consumers 10 --queues 10"},
		{"s_np_16_auto", "transient, 16 bytes", kindThroughput, "--size 16 --ack auto" + aheadFlags},
		{"s_np_1k_auto", "transient, 1 KiB", kindThroughput, "--size 1024 --ack auto" + aheadFlags},
		{"s_np_1k_ci", "transient, 1 KiB, each acknowledged", kindThroughput, "--size 1024 --ack client-individual" + aheadFlags},
		{"s_topic_1to1", "topic, one subscriber", kindThroughput, "--size 16 --topic --ack auto" + aheadFlags},
		{"s_topic_1to100", "topic, 100 subscribers; rates count deliveries", kindThroughput, "--size 16 --topic --ack auto --consumers 100 --ahead 1000"},
		{"s_lat_p_200", "latency, persistent, 200 a second", kindThroughput, latencyFlags + " --persistent --window 1000 --ack client-individual --rate 200"},
		{"s_lat_p_1000", "latency, persistent, 1000 a second", kindThroughput, latencyFlags + " --persistent --window 1000 --ack client-individual --rate 1000"},
		{"s_lat_np_1000", "latency, transient, 1000 a second", kindThroughput, latencyFlags + " --ack auto --rate 1000"},
		{"q0_16", "MQTT QoS 0, 16 bytes", kindThroughput, "--protocol mqtt --topic --size 16" + aheadFlags},
		{"q0_1k", "MQTT QoS 0, 1 KiB", kindThroughput, "--protocol mqtt --topic --size 1024" + aheadFlags},
		{"q0_fan100", "MQTT QoS 0, 100 subscribers; rates count deliveries", kindThroughput, "--protocol mqtt --topic --size 16 --consumers 100 --ahead 1000"},
		{"q0_in100", "MQTT QoS 0, 100 publishers", kindThroughput, "--protocol mqtt --topic --size 16 --producers 100" + aheadFlags},
		{"q1_16", "MQTT QoS 1, 16 bytes, window 100", kindThroughput, "--protocol mqtt-q1 --topic --size 16 --window 100"},
		{"q1_1k", "MQTT QoS 1, 1 KiB, window 100", kindThroughput, "--protocol mqtt-q1 --topic --size 1024 --window 100"},
		{"q1_1k_10x10", "MQTT QoS 1, 10 pairs", kindThroughput, "--protocol mqtt-q1 --topic --size 1024 --window 100 --producers 10 --consumers 10 --queues 10"},
		{"q1_1k_stored", "MQTT QoS 1, 1 KiB, to a stored session", kindThroughput, "--protocol mqtt-q1-stored --topic --size 1024 --window 1000"},
		{"q2_16", "MQTT QoS 2, 16 bytes, window 100", kindThroughput, "--protocol mqtt-q2 --topic --size 16 --window 100"},
		{"q0_lat", "MQTT latency, QoS 0, 1000 a second", kindThroughput, latencyFlags + " --protocol mqtt --topic --rate 1000"},
		{"q1_lat", "MQTT latency, QoS 1, 1000 a second", kindThroughput, latencyFlags + " --protocol mqtt-q1 --topic --window 1000 --rate 1000"},
		{"q_retained", "MQTT: 10,000 topics (or --messages) remember 16 bytes, fetched by a wildcard", kindRetained, "--protocol mqtt --topic --size 16"},
		{"q_idle", "MQTT: 10,000 idle connections with a subscription each", kindConnections, "--protocol mqtt --topic --connections 10000 --subscribe"},
		{"a_p_1k_w100", "AMQP durable, 1 KiB, window 100, credit 200", kindThroughput, "--protocol amqp --size 1024 --persistent --window 100 --prefetch 200 --ack client-individual"},
		{"a_p_1k_w1000", "AMQP durable, 1 KiB, window and credit 1000", kindThroughput, "--protocol amqp --size 1024 --persistent --window 1000 --ack client-individual"},
		{"a_p_1k_10x10", "AMQP durable, 10 pairs", kindThroughput, "--protocol amqp --size 1024 --persistent --window 100 --prefetch 200 --ack client-individual --producers 10 --consumers 10 --queues 10"},
		{"a_0_16", "AMQP pre-settled, 16 bytes", kindThroughput, "--protocol amqp --size 16 --ack auto" + aheadFlags},
		{"a_0_1k", "AMQP pre-settled, 1 KiB", kindThroughput, "--protocol amqp --size 1024 --ack auto" + aheadFlags},
		{"a_lat_p_1000", "AMQP latency, durable, 1000 a second", kindThroughput, latencyFlags + " --protocol amqp --persistent --window 1000 --ack client-individual --rate 1000"},
		{"o_p_1k_w1", "OpenWire persistent, 1 KiB, each send waits for its answer, as JMS does", kindThroughput, "--protocol openwire --size 1024 --persistent --window 1 --ack client-individual"},
		{"o_p_1k_10x10", "the same, 10 pairs", kindThroughput, "--protocol openwire --size 1024 --persistent --window 1 --ack client-individual --producers 10 --consumers 10 --queues 10"},
		{"o_p_1k_w100", "OpenWire persistent, 1 KiB, window 100", kindThroughput, "--protocol openwire --size 1024 --persistent --window 100 --ack client-individual"},
		{"o_np_16", "OpenWire non-persistent, 16 bytes", kindThroughput, "--protocol openwire --size 16 --ack auto" + aheadFlags},
		{"o_np_1k", "OpenWire non-persistent, 1 KiB", kindThroughput, "--protocol openwire --size 1024 --ack auto" + aheadFlags},
		{"o_topic_1to100", "OpenWire topic, 100 subscribers; rates count deliveries", kindThroughput, "--protocol openwire --topic --size 100 --consumers 100 --prefetch 32000 --ahead 1000 --ack auto"},
		{"o_lat_p_1000", "OpenWire latency, persistent, 1000 a second", kindThroughput, latencyFlags + " --protocol openwire --persistent --window 1000 --ack client-individual --rate 1000"},
		{"fill", "publish --messages that nobody consumes", kindFill, "--size 1024 --persistent --window 1000 --consumers 0 --messages 1000000"},
		{"drain", "consume what fill left: first message, all, missing, duplicates", kindDrain, "--size 1024 --ack client-individual"},
		{"backlog", "rates with an empty queue, then with --backlog messages waiting", kindBacklog, "--size 1024 --persistent --window 1000 --ack client-individual"},
		{"connections", "idle --connections: memory of each, connects a second", kindConnections, ""},
		{"startup", "start the command after --: time to the first accepted client", kindStartup, ""},
	}
}

const latencyFlags = "--size 100"

// customScenario is what a run without --scenario is called.
const customScenario = "custom"

// applyScenario sets the preset's values where the user gave none.
func (s *settings) applyScenario(fs *pflag.FlagSet) error {
	s.kind = kindThroughput
	if s.scenario == "" {
		s.scenario = customScenario
	} else if err := s.applyPreset(fs); err != nil {
		return err
	}
	// A given number of messages is published as it is, all of it measured.
	if s.messages > 0 && !fs.Changed("warmup") {
		s.warmup = 0
	}
	return nil
}

func (s *settings) applyPreset(fs *pflag.FlagSet) error {
	for _, p := range scenarios() {
		if p.name != s.scenario {
			continue
		}
		s.kind = p.kind
		for name, value := range p.values() {
			if fs.Changed(name) {
				continue
			}
			if err := fs.Lookup(name).Value.Set(value); err != nil {
				return fmt.Errorf("scenario %s: --%s %s: %w", p.name, name, value, err)
			}
		}
		return nil
	}
	return fmt.Errorf("unknown scenario %q: `bench list` names them", s.scenario)
}

// values splits the preset's flags.
func (p *scenario) values() map[string]string {
	values := map[string]string{}
	words := strings.Fields(p.flags)
	for i := 0; i < len(words); i++ {
		name, value := strings.TrimPrefix(words[i], "--"), "true"
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
			i++
			value = words[i]
		}
		values[name] = value
	}
	return values
}

// listScenarios prints the presets and what each stands for.
func listScenarios(w io.Writer) error {
	for _, p := range scenarios() {
		if _, err := fmt.Fprintf(w, "%-18s %s\n%-18s %s\n", p.name, p.about, "", p.flags); err != nil {
			return err
		}
	}
	return nil
}

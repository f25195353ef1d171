package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

func (p *program) serveCommand() *cobra.Command {
	var settings settingFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a broker",
		Long: `Runs a broker until it is told to stop. Without flags it keeps its data in
./data and listens on this machine only: STOMP on 61613, MQTT on 1883, WebSocket on 61614,
health, metrics and console on 8161. A line on stdout says when it is ready and
where it listens; the log goes to stderr.

SIGTERM and SIGINT let clients finish within shutdown.timeout; a second one ends
at once. SIGHUP reads the configuration again: log level, certificates, users and
permissions, destinationPolicy take effect, for other changes the log says that they need a restart. SIGUSR1 logs
the broker's state and what every goroutine does.`,
		Example: `  entrepot serve
  entrepot serve --data-dir /var/lib/entrepot --listen stomp://127.0.0.1:61613
  entrepot serve --config entrepot.yaml --set log.level=debug
  ENTREPOT_STORE_SYNC=interval entrepot serve`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.serve(cmd.Context(), func() (*config.Loaded, error) { return p.load(cmd.Flags(), &settings) })
		},
	}
	settings.register(cmd.Flags())
	return cmd
}

// serve runs a broker with what load returns, until a signal or ctx ends it.
func (p *program) serve(ctx context.Context, load func() (*config.Loaded, error)) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	log, err := newLogging(p.err, cfg.Log.Format, cfg.Log.Level)
	if err != nil {
		return err
	}
	if p.wantsGuardian(&cfg.Cluster) {
		return p.guard(ctx, log)
	}
	guarded := p.guardedLines()
	room, adjust := p.prepare(cfg, log)
	if adjust {
		ctx, stop := context.WithCancel(ctx)
		var keeper sync.WaitGroup
		keeper.Go(func() { room.keep(ctx) })
		defer keeper.Wait()
		defer stop()
	}
	// From here on a signal waits until the broker stands: a start that is cut
	// off in the middle of a recovery would only have to begin again.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, append(slices.Clone(stopSignals), reloadSignal, reportSignal)...)
	defer signal.Stop(signals)
	n, err := startNode(ctx, cfg, log, guarded)
	if err != nil {
		return err
	}
	s := &service{node: n, load: load, signals: signals, notify: p.notifier()}
	s.announce(ctx, p.out)
	return s.run(ctx)
}

// prepare sets what concerns the whole process, and warns of what will hurt. It
// returns the headroom to be kept, if any is.
func (p *program) prepare(cfg *config.Loaded, log *logging) (room headroom, adjust bool) {
	for _, w := range cfg.Warnings {
		log.Warn("the environment looks odd", "warning", w)
	}
	if cfg.Security.AllowRemote && !cfg.Security.Authenticates() {
		log.Warn("clients on other machines are served, and nobody has to authenticate", "key", "security.allowRemote")
	}
	limit, origin := p.limitMemory(cfg.Memory.Limit)
	if limit > 0 {
		log.Info("memory limit", "bytes", limit, "origin", origin)
	}
	const spare = 200 // descriptors for the store, the console and the rest
	if most := descriptorLimit(); most > 0 && most < uint64(cfg.Limits.Connections)+spare {
		log.Warn("fewer files may be open than connections are allowed",
			"open_files", most, "connections", cfg.Limits.Connections, "advice", "raise the limit (ulimit -n, LimitNOFILE=) or lower limits.connections")
	}
	return headroomFor(cfg.Store.Memory, limit, origin)
}

// service is a node and the operator's signals.
type service struct {
	node    *node
	load    func() (*config.Loaded, error)
	signals chan os.Signal
	notify  notifier
}

// announce says on stdout, in the log and to systemd that the broker serves.
func (s *service) announce(ctx context.Context, out io.Writer) {
	n := s.node
	consoleURL := "none"
	if n.console != nil {
		consoleURL = "http://" + n.console.Addr().String()
	}
	line := banner(version, n.cfg.BrokerName, n.role(), n.listeners(), consoleURL)
	if _, err := io.WriteString(out, line); err != nil {
		n.log.Warn("nobody reads stdout", "error", err)
	}
	s.tell(ctx, "READY=1\nSTATUS="+n.role())
}

func (s *service) tell(ctx context.Context, state string) {
	told, err := s.node.guarded.tell(guardLine{Notify: state})
	if !told {
		err = s.notify.tell(ctx, state)
	}
	if err != nil {
		s.node.log.Warn("systemd was not told", "error", err)
	}
}

// run answers signals until one ends the broker, or its store fails.
func (s *service) run(ctx context.Context) error {
	for {
		select {
		case sig := <-s.signals:
			switch sig {
			case reloadSignal:
				s.reload(ctx)
			case reportSignal:
				s.report()
			default:
				s.node.log.Info("shutting down", "signal", sig.String(), "timeout", s.node.cfg.Shutdown.Timeout.String())
				return s.shutdown(ctx, s.node.cfg.Shutdown.Timeout)
			}
		case err := <-s.node.failure:
			s.node.log.Error("the store failed: the broker ends, so that a start reads the log again", "error", err)
			if stopErr := s.shutdown(ctx, min(failureGrace, s.node.cfg.Shutdown.Timeout)); stopErr != nil {
				s.node.log.Warn("the shutdown was not clean", "error", stopErr)
			}
			return &storeError{err}
		case <-ctx.Done():
			return s.shutdown(context.WithoutCancel(ctx), s.node.cfg.Shutdown.Timeout)
		}
	}
}

// failureGrace is what clients get to read their errors when the store has
// failed: there is nothing that they could finish.
const failureGrace = time.Second

// shutdown drains within the time, or until another signal.
func (s *service) shutdown(ctx context.Context, timeout time.Duration) error {
	s.tell(ctx, "STOPPING=1")
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	stopped := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case sig := <-s.signals:
				if slices.Contains(stopSignals, sig) {
					s.node.log.Warn("shutting down now", "signal", sig.String())
					cancel()
				}
			case <-stopped:
				return
			}
		}
	}()
	err := s.node.stop(ctx)
	close(stopped)
	<-watched
	if err == nil {
		s.node.log.Info("the broker has stopped")
	}
	return err
}

// reload takes what can be changed while the broker runs from a configuration
// that is right as a whole; a wrong one changes nothing.
func (s *service) reload(ctx context.Context) {
	n := s.node
	cfg, err := s.load()
	if err == nil {
		err = errors.Join(n.reloadCertificates(), n.reloadSecurity(ctx), n.reloadPolicies(cfg))
	}
	n.reloadFailed.Store(err != nil)
	if cfg == nil {
		n.log.Error("the configuration was not reloaded, the old one stays in force", "error", err)
		return
	}
	if err != nil {
		n.log.Error("not everything was reloaded, the old stays in force where it failed", "error", err)
	}
	if err := n.log.setLevel(cfg.Log.Level); err != nil {
		n.log.Error("the log level was not reloaded", "error", err)
	}
	var later []string
	for _, key := range n.cfg.Changed(cfg) {
		if key != "log.level" && key != "destinationPolicy" {
			later = append(later, key)
		}
	}
	if len(later) > 0 {
		n.log.Warn("these changes need a restart", "keys", strings.Join(later, ", "))
	}
	n.log.Info("the configuration was reloaded", "level", cfg.Log.Level)
}

// report logs the broker's figures and what every goroutine does.
func (s *service) report() {
	st := s.node.Stats()
	connections := 0
	for _, l := range st.Listeners {
		connections += l.Connections
	}
	s.node.log.Info("state", "connections", connections, "queues", st.Queues, "messages", st.QueueMessages,
		"in_flight", st.QueueInflight, "consumers", st.QueueConsumers, "blocked_producers", st.BlockedProducers,
		"memory_used", st.MemoryUsed, "log_bytes", st.LogSize, "pages_bytes", st.PagesSize, "store_waiting", st.StoreWaiting)
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil { // 1: alike ones together
		s.node.log.Error("the goroutines could not be listed", "error", err)
		return
	}
	s.node.log.dump(b.String())
}

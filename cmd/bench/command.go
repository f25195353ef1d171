package bench

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

const (
	examples = `  entrepot bench --scenario s_p_1k_w100_ci --pid $(pidof entrepot)
  entrepot bench --server 127.0.0.1:61613 --size 16 --duration 5s
  entrepot bench --scenario s_lat_p_1000 --login guest --passcode guest --json
  entrepot bench --scenario fill --messages 1000000 && entrepot bench --scenario drain --messages 1000000
  entrepot bench --scenario connections --connections 10000 --pid 4711
  entrepot bench --scenario startup -- entrepot serve --data-dir fresh
  entrepot bench list`

	about = `Load any broker by its address and account for every message.

Each message carries its run, publisher, sequence and time. A run ends when the
last message has been delivered; missing ones make it fail with exit code 1.
With --rate, latency counts from the moment a message was due. With --pid, the
broker's CPU and memory are measured, and the CPU that others used meanwhile.

Fields of --json:
`
)

// usageError is a command line that cannot be carried out. ExitCode tells the
// program's main function what to exit with.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// ExitCode is 2, the code of usage errors.
func (usageError) ExitCode() int { return 2 }

// Command returns `bench`. Results go to the command's output, progress to its
// error stream when that is a terminal. An error with a method ExitCode() int
// is about the command line; any other is the run's.
func Command() *cobra.Command {
	s := &settings{}
	cmd := &cobra.Command{
		Use:           "bench [flags] [-- command]",
		Short:         "Load a broker and measure it",
		Long:          about + fieldsHelp(),
		Example:       examples,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.prepare(cmd.Flags(), args); err != nil {
				return usageError{err}
			}
			return execute(cmd, s)
		},
	}
	flagsOf(cmd.Flags(), s)
	cmd.Flags().SortFlags = false
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(listCommand())
	return cmd
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Name the scenarios and the flags that each stands for",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return listScenarios(cmd.OutOrStdout()) },
	}
}

// execute runs and prints. A run with missing messages has a result and an
// error.
func execute(cmd *cobra.Command, s *settings) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	p := newProgress(cmd.ErrOrStderr())
	r, err := run(ctx, s, p)
	p.end()
	if r != nil {
		write := r.writeText
		if s.json {
			write = r.writeJSON
		}
		err = errors.Join(err, write(cmd.OutOrStdout()))
	}
	if err != nil {
		return fmt.Errorf("bench %s on %s: %w", s.scenario, s.address, err)
	}
	return nil
}

// run carries out one run. The result may be there although there is an error.
func run(ctx context.Context, s *settings, p *progress) (*result, error) {
	switch s.kind {
	case kindDrain:
		return runDrain(ctx, s, p)
	case kindBacklog:
		return runBacklog(ctx, s, p)
	case kindConnections:
		return runConnections(ctx, s, p)
	case kindStartup:
		return runStartup(ctx, s, p)
	case kindRetained:
		return runRetained(ctx, s, p)
	case kindThroughput, kindFill:
	}
	return runThroughput(ctx, s, p)
}

package main

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"
)

var queueColumns = []column{
	{"NAME", "name", false},
	{"MESSAGES", "messages", false},
	{"IN-FLIGHT", "inFlight", false},
	{"CONSUMERS", "consumers", false},
	{"ENQUEUED", "enqueued", false},
	{"DEQUEUED", "dequeued", false},
	{"DISPATCHED", "dispatched", true},
	{"EXPIRED", "expired", true},
	{"DEAD-LETTERED", "deadLettered", true},
	{"PAUSED", "paused", false},
}

func (p *program) queueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Manage the queues of a running broker",
		Long: `Asks the HTTP API of a running broker. What removes messages or queues asks
first; where nobody can be asked it needs --yes.`,
		Example: `  entrepot queue ls --sort messages --desc
  entrepot queue purge orders
  entrepot queue retry ActiveMQ.DLQ --all`,
	}
	asGroup(cmd)
	cmd.AddCommand(p.queueLs(), p.queueInfo(), p.queueCreate(), p.queueRm(), p.queuePurge(), p.queuePause(), p.queueResume(),
		p.queueBrowse(), p.transferCommand("move"), p.transferCommand("copy"), p.transferCommand("retry"),
		p.queueExport(), p.queueImport())
	return cmd
}

func (p *program) queueLs() *cobra.Command {
	state := ""
	cmd := &cobra.Command{
		Short: "List queues",
		Long: `Lists queues. --sort takes name, messages, inFlight, consumers, enqueued, dequeued
and expired; --state takes backlog, noConsumers, paused, empty and temporary.`,
		Example: "  entrepot queue ls\n  entrepot queue ls --filter \"orders.>\" --state noConsumers -o json",
	}
	cmd.Flags().StringVar(&state, "state", "", "only queues in this state")
	return p.listCommand(cmd, "/queues", queueColumns, func(q url.Values) {
		if state != "" {
			q.Set("state", state)
		}
	})
}

func (p *program) queueInfo() *cobra.Command {
	return p.managed(&cobra.Command{
		Use: "info NAME", Short: "Show one queue", Long: "Shows the figures of one queue.",
		Example: "  entrepot queue info orders",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "GET", "/queues/"+element(args[0]), nil, nil, queueColumns)
	})
}

func (p *program) queueCreate() *cobra.Command {
	return p.managed(&cobra.Command{
		Use: "create NAME", Short: "Make a queue", Long: "Makes a queue. One that exists stays as it is.",
		Example: "  entrepot queue create orders",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "POST", "/queues", nil, object{"name": args[0]}, queueColumns)
	})
}

func (p *program) queueRm() *cobra.Command {
	force := false
	cmd := &cobra.Command{
		Use: "rm NAME", Short: "Delete a queue",
		Long:        "Deletes a queue. One with messages or consumers is refused without --force,\nwhich deletes the messages and closes the consumers' connections.",
		Example:     "  entrepot queue rm orders\n  entrepot queue rm orders --force --yes",
		Annotations: destructive,
	}
	cmd.Flags().BoolVar(&force, "force", false, "with its messages, and in spite of its consumers")
	return p.managed(cmd, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("delete queue " + args[0]); err != nil {
			return err
		}
		q := url.Values{}
		if force {
			q.Set("force", "true")
		}
		return m.act(ctx, "DELETE", "/queues/"+element(args[0]), q, nil, nil)
	})
}

func (p *program) queuePurge() *cobra.Command {
	return p.managed(&cobra.Command{
		Use: "purge NAME", Short: "Remove all messages that wait in a queue",
		Long:        "Removes all messages that wait in a queue, as one change. Those that consumers\nhave stay with them.",
		Example:     "  entrepot queue purge orders --yes",
		Annotations: destructive,
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		var q object
		if err := m.api.call(ctx, "GET", "/queues/"+element(args[0]), nil, nil, &q); err != nil {
			return err
		}
		if err := m.confirm("remove " + cell(q["messages"]) + " messages of queue " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "POST", "/queues/"+element(args[0])+"/purge", nil, nil, []column{{"REMOVED", "removed", false}})
	})
}

func (p *program) queuePause() *cobra.Command {
	return p.managed(&cobra.Command{
		Use: "pause NAME", Short: "Stop the deliveries of a queue", Long: "Stops the deliveries of a queue. It goes on taking messages.",
		Example: "  entrepot queue pause orders",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "POST", "/queues/"+element(args[0])+"/pause", nil, nil, queueColumns)
	})
}

func (p *program) queueResume() *cobra.Command {
	return p.managed(&cobra.Command{
		Use: "resume NAME", Short: "Restart the deliveries of a queue", Long: "Restarts the deliveries of a queue that was paused.",
		Example: "  entrepot queue resume orders",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "POST", "/queues/"+element(args[0])+"/resume", nil, nil, queueColumns)
	})
}

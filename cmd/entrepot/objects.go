package main

import (
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (p *program) topicCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "topic", Short: "Show the topics of a running broker",
		Long:    "Asks the HTTP API of a running broker for the topics that somebody subscribes to.",
		Example: "  entrepot topic ls --sort subscribers --desc",
	}
	asGroup(cmd)
	cmd.AddCommand(p.listCommand(&cobra.Command{
		Short: "List topics", Long: "Lists topics, and the patterns that somebody subscribes to. --sort takes name and\nsubscribers.",
		Example: "  entrepot topic ls --filter \"news.>\"",
	}, "/topics", []column{
		{"NAME", "name", false}, {"SUBSCRIBERS", "subscribers", false}, {"DURABLE", "durableSubscriptions", false},
	}, nil))
	return cmd
}

// subManagement adds what manages subscriptions to the command that makes one.
func (p *program) subManagement(cmd *cobra.Command) {
	durable := false
	ls := &cobra.Command{
		Short: "List subscriptions to topics", Long: "Lists the subscriptions to topics. --sort takes name and messages.",
		Example: "  entrepot sub ls --durable --sort messages --desc",
	}
	ls.Flags().BoolVar(&durable, "durable", false, "only durable ones")
	cmd.AddCommand(p.listCommand(ls, "/subscriptions", []column{
		{"CLIENT", "clientId", false},
		{"NAME", "name", false},
		{"TOPIC", "topic", false},
		{"SELECTOR", "selector", true},
		{"DURABLE", "durable", false},
		{"SHARED", "shared", true},
		{"ACTIVE", "active", false},
		{"MESSAGES", "messages", false},
		{"IN-FLIGHT", "inFlight", true},
		{"DISPATCHED", "dispatched", true},
	}, func(q url.Values) {
		if durable {
			q.Set("durable", "true")
		}
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "rm CLIENT NAME", Short: "Delete a durable subscription",
		Long:    "Deletes a durable subscription with all that waits in it. One in use is refused.",
		Example: "  entrepot sub rm office reader --yes", Annotations: destructive,
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("delete durable subscription " + args[1] + " of client " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "DELETE", "/subscriptions/"+element(args[0])+"/"+element(args[1]), nil, nil, nil)
	}))
}

var connectionColumns = []column{
	{"ID", "id", false},
	{"CLIENT", "clientId", false},
	{"USER", "user", false},
	{"PROTOCOL", "protocol", false},
	{"VERSION", "version", true},
	{"REMOTE", "remote", false},
	{"LISTENER", "listener", true},
	{"SECURE", "secure", true},
	{"SINCE", "since", true},
	{"SENT", "sent", false},
	{"DELIVERED", "delivered", false},
	{"CONSUMERS", "consumers", false},
	{"UNSETTLED", "unsettled", true},
	{"WAITS", "waits", true},
}

func (p *program) connCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "conn", Short: "Manage the connections of a running broker",
		Long:    "Asks the HTTP API of a running broker.",
		Example: "  entrepot conn ls -o wide\n  entrepot conn close 17 --reason maintenance",
	}
	asGroup(cmd)
	cmd.AddCommand(p.listCommand(&cobra.Command{
		Short: "List connections", Long: "Lists the clients. --sort takes name (the client id), sent and since.",
		Example: "  entrepot conn ls --filter office",
	}, "/connections", connectionColumns, nil))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "info ID", Short: "Show one connection", Long: "Shows one connection.", Example: "  entrepot conn info 17",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "GET", "/connections/"+element(args[0]), nil, nil, connectionColumns)
	}))
	reason := ""
	closing := &cobra.Command{
		Use: "close ID", Aliases: []string{"rm"}, Short: "Close a connection",
		Long:    "Closes a connection. What its consumers had not acknowledged goes to others.",
		Example: "  entrepot conn close 17 --yes", Annotations: destructive,
	}
	closing.Flags().StringVar(&reason, "reason", "", "shown to the client")
	cmd.AddCommand(p.managed(closing, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("close connection " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "DELETE", "/connections/"+element(args[0]), url.Values{"reason": {reason}}, nil, nil)
	}))
	return cmd
}

func (p *program) msgCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "msg", Short: "Show and delete single messages",
		Long:    "Asks the HTTP API of a running broker. \"entrepot queue browse\" shows the references\nof messages.",
		Example: "  entrepot msg show orders 400000000000003.19ab.2a",
	}
	asGroup(cmd)
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "show QUEUE REF", Aliases: []string{"info"}, Short: "Show one message", Long: "Shows one message. With -o json or yaml it is complete.",
		Example: "  entrepot msg show orders 400000000000003.19ab.2a -o json",
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "GET", "/queues/"+element(args[0])+"/messages/"+element(args[1]), nil, nil, messageColumns)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "rm QUEUE REF", Short: "Delete one message", Long: "Deletes one message. One that a consumer has is refused.",
		Example: "  entrepot msg rm orders 400000000000003.19ab.2a --yes", Annotations: destructive,
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("delete message " + args[1] + " of queue " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "DELETE", "/queues/"+element(args[0])+"/messages/"+element(args[1]), nil, nil, nil)
	}))
	return cmd
}

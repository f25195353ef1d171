package main

import (
	"context"
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
)

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

var topicColumns = []column{
	{"NAME", "name", false}, {"SUBSCRIBERS", "subscribers", false}, {"DURABLE", "durableSubscriptions", false}, {"CREATED", "created", true},
}

func (p *program) topicCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "topic", Short: "Manage the topics of a running broker",
		Long:    "Asks the HTTP API of a running broker.",
		Example: "  entrepot topic ls --sort subscribers --desc\n  entrepot topic create news",
	}
	asGroup(cmd)
	cmd.AddCommand(p.listCommand(&cobra.Command{
		Short: "List topics", Long: "Lists topics, and the patterns that somebody subscribes to. --sort takes name and\nsubscribers.",
		Example: "  entrepot topic ls --filter \"news.>\"",
	}, "/topics", topicColumns, nil))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "info TOPIC", Short: "Show one topic", Long: "Shows one topic, or pattern, that topic ls has.", Example: "  entrepot topic info news",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "GET", "/topics/"+element(args[0]), nil, nil, topicColumns)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "create TOPIC", Short: "Make a topic",
		Long:    "Makes a topic: it is listed without subscribers, and can be used where the policy has\nautoCreate: false.",
		Example: "  entrepot topic create news",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "POST", "/topics", nil, object{"name": args[0]}, topicColumns)
	}))
	force := false
	rm := &cobra.Command{
		Use: "rm TOPIC", Short: "Delete a topic",
		Long:    "Deletes a topic and what it remembers. One with subscribers or durable subscriptions is\nrefused unless --force is given: then these go too.",
		Example: "  entrepot topic rm news --yes", Annotations: destructive,
	}
	rm.Flags().BoolVar(&force, "force", false, "also with subscribers and durable subscriptions")
	cmd.AddCommand(p.managed(rm, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("delete topic " + args[0]); err != nil {
			return err
		}
		q := url.Values{}
		if force {
			q.Set("force", "true")
		}
		return m.act(ctx, "DELETE", "/topics/"+element(args[0]), q, nil, nil)
	}))
	return cmd
}

var subscriptionColumns = []column{
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
}

// subManagement adds what manages subscriptions to the command that makes one.
func (p *program) subManagement(cmd *cobra.Command) {
	durable := false
	ls := &cobra.Command{
		Short: "List subscriptions to topics", Long: "Lists the subscriptions to topics. --sort takes name and messages.",
		Example: "  entrepot sub ls --durable --sort messages --desc",
	}
	ls.Flags().BoolVar(&durable, "durable", false, "only durable ones")
	cmd.AddCommand(p.listCommand(ls, "/subscriptions", subscriptionColumns, func(q url.Values) {
		if durable {
			q.Set("durable", "true")
		}
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "info CLIENT NAME", Short: "Show one durable subscription",
		Long:    "Shows one durable subscription. CLIENT is * for a shared one that has no client id.",
		Example: "  entrepot sub info office reader",
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "GET", "/subscriptions/"+element(args[0])+"/"+element(args[1]), nil, nil, subscriptionColumns)
	}), p.subCreate())
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "rm CLIENT NAME", Short: "Delete a durable subscription",
		Long:    "Deletes a durable subscription with all that waits in it. One in use is refused. CLIENT is\n* for a shared one that has no client id.",
		Example: "  entrepot sub rm office reader --yes\n  entrepot sub rm '*' workers --yes", Annotations: destructive,
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("delete durable subscription " + args[1] + " of client " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "DELETE", "/subscriptions/"+element(args[0])+"/"+element(args[1]), nil, nil, nil)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "browse CLIENT NAME", Short: "Show what waits in a durable subscription",
		Long:    "Shows the first 100 messages that wait in a durable subscription. CLIENT is * for a\nshared one that has no client id.",
		Example: "  entrepot sub browse office reader -o json",
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		var got struct {
			Items []object `json:"items"`
		}
		path := "/subscriptions/" + element(args[0]) + "/" + element(args[1]) + "/messages"
		if err := m.api.call(ctx, "GET", path, nil, nil, &got); err != nil {
			return err
		}
		return printList(p.out, m.output, messageColumns, got.Items)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "purge CLIENT NAME", Short: "Remove what waits in a durable subscription",
		Long:    "Removes all messages that wait in a durable subscription; those with consumers stay.",
		Example: "  entrepot sub purge office reader --yes", Annotations: destructive,
	}, 2, 2, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("purge durable subscription " + args[1] + " of client " + args[0]); err != nil {
			return err
		}
		path := "/subscriptions/" + element(args[0]) + "/" + element(args[1]) + "/purge"
		return m.act(ctx, "POST", path, nil, nil, []column{{"REMOVED", "removed", false}})
	}))
}

func (p *program) subCreate() *cobra.Command {
	selector, shared, noLocal := "", false, false
	cmd := &cobra.Command{
		Use: "create CLIENT NAME TOPIC", Short: "Make a durable subscription",
		Long: `Makes a durable subscription that waits for its client. One that exists stays as
it is. With --shared, CLIENT is * for one without a client id, which clients of any
id join.`,
		Example: "  entrepot sub create office reader \"news.>\" --selector \"region = 'north'\"",
	}
	f := cmd.Flags()
	f.StringVar(&selector, "selector", "", "condition on the messages, in SQL-92")
	f.BoolVar(&shared, "shared", false, "several consumers share it")
	f.BoolVar(&noLocal, "no-local", false, "leave out what the client itself publishes")
	return p.managed(cmd, 3, 3, func(ctx context.Context, m *manage, args []string) error {
		client := args[0]
		if shared && client == "*" {
			client = ""
		}
		return m.act(ctx, "POST", "/subscriptions", nil, object{
			"clientId": client, "name": args[1], "topic": args[2], "selector": selector, "shared": shared, "noLocal": noLocal,
		}, subscriptionColumns)
	})
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

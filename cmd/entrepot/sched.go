package main

import (
	"context"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

var scheduleColumns = []column{
	{"ID", "id", false},
	{"DUE", "due", false},
	{"LEFT", "left", false},
	{"CRON", "cron", false},
	{"ZONE", "zone", true},
	{"DELAY", "delay", true},
	{"PERIOD", "period", true},
	{"REPEAT", "repeat", true},
	{"CREATED", "created", true},
	{"DESTINATION", "destination", false},
}

func (p *program) schedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sched", Short: "Manage the scheduled messages of a running broker",
		Long:    "Asks the HTTP API of a running broker. Times are milliseconds since the Unix epoch.",
		Example: "  entrepot sched ls --destination \"orders.>\"\n  entrepot sched rm ID:entrepot-19ab-42 --yes",
	}
	asGroup(cmd)
	cmd.AddCommand(p.schedLs())
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "info ID", Short: "Show one scheduled message", Long: "Shows one scheduled message. With -o json or yaml it is complete.",
		Example: "  entrepot sched info ID:entrepot-19ab-42 -o json",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		var out object
		if err := m.api.call(ctx, "GET", "/schedules/"+element(args[0]), nil, nil, &out); err != nil {
			return err
		}
		if m.output == "table" || m.output == "wide" {
			addDestination(out)
		}
		return printOne(p.out, m.output, scheduleColumns, out)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "rm ID", Short: "Remove a scheduled message", Long: "Removes a scheduled message, with all its repetitions.",
		Example: "  entrepot sched rm ID:entrepot-19ab-42 --yes", Annotations: destructive,
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm("remove scheduled message " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "DELETE", "/schedules/"+element(args[0]), nil, nil, nil)
	}))
	cmd.AddCommand(p.managed(&cobra.Command{
		Use: "run ID", Short: "Send a scheduled message now", Long: "Sends a scheduled message now. One that repeats goes on as before.",
		Example: "  entrepot sched run ID:entrepot-19ab-42",
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		return m.act(ctx, "POST", "/schedules/"+element(args[0])+"/run", nil, nil, nil)
	}))
	return cmd
}

// addDestination puts where the message goes among the schedule's own fields.
func addDestination(s object) {
	if m, ok := s["message"].(object); ok {
		s["destination"] = m["destination"]
	}
}

func (p *program) schedLs() *cobra.Command {
	limit, destination := 0, ""
	cmd := &cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List scheduled messages", Long: "Lists scheduled messages, by the time at which they are due.",
		Example: "  entrepot sched ls\n  entrepot sched ls --destination \"orders.>\" -n 10 -o jsonl",
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 0, "most items; 0 for all")
	cmd.Flags().StringVar(&destination, "destination", "", "only those for this destination, which may be a pattern")
	return p.managed(cmd, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		if limit < 0 {
			return usagef("--limit %d is negative", limit)
		}
		const page = 500
		var items []object
		q := url.Values{"limit": {strconv.Itoa(page)}}
		if destination != "" {
			q.Set("destination", destination)
		}
		for {
			if limit > 0 {
				q.Set("limit", strconv.Itoa(min(page, limit-len(items))))
			}
			var got struct {
				Items []object `json:"items"`
				Next  string   `json:"next"`
			}
			if err := m.api.call(ctx, "GET", "/schedules", q, nil, &got); err != nil {
				return err
			}
			items = append(items, got.Items...)
			if got.Next == "" || limit > 0 && len(items) >= limit {
				break
			}
			q.Set("after", got.Next)
		}
		if m.output == "table" || m.output == "wide" {
			for _, i := range items {
				addDestination(i)
			}
		}
		return printList(p.out, m.output, scheduleColumns, items)
	})
}

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"
)

var messageColumns = []column{
	{"REF", "ref", false},
	{"ID", "id", true},
	{"PRIORITY", "priority", false},
	{"PERSISTENT", "persistent", true},
	{"TIMESTAMP", "timestamp", true},
	{"EXPIRES", "expires", true},
	{"CORRELATION", "correlationId", true},
	{"TYPE", "type", true},
	{"ORIGIN", "origin", true},
	{"REDELIVERIES", "redeliveries", false},
	{"IN-FLIGHT", "inFlight", false},
	{"SIZE", "size", false},
	{"BODY", "body", false},
}

func (p *program) queueBrowse() *cobra.Command {
	limit, selector := 0, ""
	cmd := &cobra.Command{
		Use: "browse NAME", Short: "Show the messages that wait in a queue",
		Long:    "Shows the messages that wait in a queue, without changing anything.",
		Example: "  entrepot queue browse orders\n  entrepot queue browse ActiveMQ.DLQ --selector \"JMSType = 'order'\" -n 10 -o jsonl",
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "most messages; 0 for all")
	cmd.Flags().StringVar(&selector, "selector", "", "condition on the messages, in SQL-92")
	return p.managed(cmd, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		items, err := m.browse(ctx, args[0], selector, limit)
		if err != nil {
			return err
		}
		return printList(p.out, m.output, messageColumns, items)
	})
}

func (m *manage) browse(ctx context.Context, name, selector string, limit int) (items []object, err error) {
	const page = 500
	q := url.Values{"limit": {strconv.Itoa(page)}}
	if selector != "" {
		q.Set("selector", selector)
	}
	for {
		if limit > 0 {
			q.Set("limit", strconv.Itoa(min(page, limit-len(items))))
		}
		var got struct {
			Items []object `json:"items"`
			Next  string   `json:"next"`
		}
		if err := m.api.call(ctx, "GET", "/queues/"+element(name)+"/messages", q, nil, &got); err != nil {
			return nil, err
		}
		items = append(items, got.Items...)
		if got.Next == "" || limit > 0 && len(items) >= limit {
			return items, nil
		}
		q.Set("from", got.Next)
	}
}

var transferTexts = map[string]struct{ use, short, long, example string }{
	"move": {
		"move NAME TO [MESSAGE]...", "Move messages to another queue",
		"Moves messages to another queue: those whose references are given (queue browse\nshows them), those that --selector selects, or --all. Each step of up to 10000\nmessages is one change: none is lost or in both queues. Those that consumers have\nstay with them.",
		"  entrepot queue move orders orders.parked --selector \"region = 'north'\"\n  entrepot queue move old new --all --create --yes",
	},
	"copy": {
		"copy NAME TO [MESSAGE]...", "Copy messages to another queue or a topic",
		"Copies messages to another queue, or to topic://NAME: those whose references are\ngiven (queue browse shows them), those that --selector selects, or --all.",
		"  entrepot queue copy orders audit --all --create",
	},
	"retry": {
		"retry NAME [MESSAGE]...", "Send dead letters to where they were sent first",
		"Moves messages of a dead-letter queue to where they were sent first: those whose\nreferences are given (queue browse shows them), those that --selector selects, or\n--all. What can't go back stays, and the answer says why.",
		"  entrepot queue retry ActiveMQ.DLQ --all --yes\n  entrepot queue retry ActiveMQ.DLQ --selector \"JMSType = 'order'\"",
	},
}

// transferCommand returns move, copy or retry.
func (p *program) transferCommand(action string) *cobra.Command {
	var body struct {
		To       string   `json:"to,omitempty"`
		Create   bool     `json:"create,omitempty"`
		Messages []string `json:"messages,omitempty"`
		Selector string   `json:"selector,omitempty"`
		All      bool     `json:"all,omitempty"`
		Limit    int      `json:"limit,omitempty"`
		After    string   `json:"after,omitempty"`
	}
	most := 0
	text := transferTexts[action]
	cmd := &cobra.Command{Use: text.use, Short: text.short, Long: text.long, Example: text.example}
	least := 2
	if action == "retry" {
		least = 1
	} else {
		cmd.Flags().BoolVar(&body.Create, "create", false, "make the destination if it doesn't exist")
	}
	if action != "copy" {
		cmd.Annotations = destructive
	}
	cmd.Flags().StringVar(&body.Selector, "selector", "", "condition on the messages, in SQL-92")
	cmd.Flags().BoolVar(&body.All, "all", false, "all messages")
	cmd.Flags().IntVarP(&most, "limit", "n", 0, "most messages; 0 for as many as there are")
	return p.managed(cmd, least, -1, func(ctx context.Context, m *manage, args []string) error {
		name := args[0]
		if body.Messages = args[least:]; least == 2 {
			body.To = args[1]
		}
		if len(body.Messages) == 0 && body.Selector == "" && !body.All {
			return usagef("which messages? Name them, give a --selector, or say --all")
		}
		if action != "copy" && len(body.Messages) == 0 {
			if err := m.confirm(action + " messages of queue " + name); err != nil {
				return err
			}
		}
		total := transferTotal{Skipped: map[string]int{}}
		for {
			body.Limit = 0
			if most > 0 {
				body.Limit = min(most-total.Done, 10_000)
			}
			var got transferStep
			if err := m.api.call(ctx, "POST", "/queues/"+element(name)+"/"+action, nil, body, &got); err != nil {
				if total.Done > 0 {
					fmt.Fprintf(p.err, "entrepot: %d messages were done before it failed\n", total.Done)
				}
				return err
			}
			total.add(got)
			if body.After = got.Next; body.After == "" || most > 0 && total.Done >= most {
				return total.print(m)
			}
		}
	})
}

// transferStep is the API's answer to one step.
type transferStep struct {
	Done    int `json:"done"`
	Skipped []struct {
		Reason string `json:"reason"`
		Count  int    `json:"count"`
	} `json:"skipped"`
	Next string `json:"next"`
}

type transferTotal struct {
	Done    int            `json:"done"`
	Skipped map[string]int `json:"skipped"`
}

func (t *transferTotal) add(s transferStep) {
	t.Done += s.Done
	for _, k := range s.Skipped {
		t.Skipped[k.Reason] += k.Count
	}
}

func (t *transferTotal) print(m *manage) error {
	if m.output != "table" && m.output != "wide" {
		return printValue(m.p.out, m.output, t)
	}
	fmt.Fprintf(m.p.out, "DONE  %d\n", t.Done)
	for _, k := range sortedNames(t.Skipped) {
		fmt.Fprintf(m.p.out, "LEFT  %d: %s\n", t.Skipped[k], k)
	}
	return nil
}

func (p *program) queueExport() *cobra.Command {
	file, selector := "", ""
	cmd := &cobra.Command{
		Use: "export NAME", Short: "Write the messages of a queue as JSON lines",
		Long:    "Writes the messages of a queue as JSON lines, complete, so that import makes them\nagain. Nothing is consumed.",
		Example: "  entrepot queue export orders > orders.jsonl\n  entrepot queue export orders --file orders.jsonl",
	}
	cmd.Flags().StringVar(&file, "file", "", "file to write to (default stdout)")
	cmd.Flags().StringVar(&selector, "selector", "", "condition on the messages, in SQL-92")
	return p.managed(cmd, 1, 1, func(ctx context.Context, m *manage, args []string) (err error) {
		q := url.Values{}
		if selector != "" {
			q.Set("selector", selector)
		}
		lines, err := m.api.open(ctx, "GET", "/queues/"+element(args[0])+"/export", q, "", nil)
		if err != nil {
			return err
		}
		defer lines.Close()
		return p.save(file, lines)
	})
}

func (p *program) queueImport() *cobra.Command {
	file, create := "", false
	cmd := &cobra.Command{
		Use: "import NAME", Short: "Send the messages that export wrote",
		Long:    "Sends JSON lines as export writes them. Lines whose message waits in the queue are\nleft out: an import that was cut off is simply repeated.",
		Example: "  entrepot queue import orders < orders.jsonl\n  entrepot queue import orders.copy --create --file orders.jsonl",
	}
	cmd.Flags().StringVar(&file, "file", "", "file to read (default stdin)")
	cmd.Flags().BoolVar(&create, "create", false, "make the queue if it doesn't exist")
	return p.managed(cmd, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		in := p.in
		if file != "" {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		q := url.Values{}
		if create {
			q.Set("create", "true")
		}
		return m.post(ctx, "/queues/"+element(args[0])+"/import", q, in, []column{
			{"IMPORTED", "imported", false}, {"DUPLICATES", "duplicates", false}, {"LINES", "lines", false},
		})
	})
}

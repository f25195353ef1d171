package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// manage is a command that asks the API.
type manage struct {
	apiFlags
	p   *program
	api *remote
	yes bool
}

// managed returns a command with the flags of the API. It takes between least
// and most arguments, of which missing names the first that is needed.
func (p *program) managed(cmd *cobra.Command, least, most int, run func(ctx context.Context, m *manage, args []string) error) *cobra.Command {
	m := &manage{p: p}
	m.register(cmd.Flags())
	names := strings.Fields(cmd.Use)[1:]
	cmd.Args = arguments(most)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if len(args) < least {
			return usagef("%s is missing", names[len(args)])
		}
		if err := checkOutput(m.output); err != nil {
			return err
		}
		if m.api, err = p.remote(&m.apiFlags); err != nil {
			return err
		}
		return run(cmd.Context(), m, args)
	}
	if cmd.Annotations["destructive"] != "" {
		cmd.Flags().BoolVarP(&m.yes, "yes", "y", false, "don't ask")
	}
	return cmd
}

// destructive marks a command that asks before it does something.
var destructive = map[string]string{"destructive": "yes"}

// confirm asks on a terminal whether to go on; elsewhere --yes has to be given.
func (m *manage) confirm(what string) error {
	if m.yes {
		return nil
	}
	if !isTerminal(m.p.in) {
		return usagef("%s: nobody can be asked here; --yes says that you are sure", what)
	}
	fmt.Fprintf(m.p.err, "%s? [y/N] ", what)
	line, err := bufio.NewReader(m.p.in).ReadString('\n')
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// listFlags choose a part of a list.
type listFlags struct {
	filter, sort string
	desc         bool
	limit        int
}

// listCommand returns a command that lists what is at path.
func (p *program) listCommand(cmd *cobra.Command, path string, columns []column, more func(url.Values)) *cobra.Command {
	var f listFlags
	cmd.Use = "ls"
	cmd.Aliases = []string{"list"}
	flags := cmd.Flags()
	flags.StringVarP(&f.filter, "filter", "f", "", "part of the name, or a pattern such as \"orders.>\"")
	flags.StringVar(&f.sort, "sort", "", "what to sort by (default the name)")
	flags.BoolVar(&f.desc, "desc", false, "the greatest first")
	flags.IntVarP(&f.limit, "limit", "n", 0, "most items; 0 for all")
	return p.managed(cmd, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		if f.limit < 0 {
			return usagef("--limit %d is negative", f.limit)
		}
		items, err := m.list(ctx, path, &f, more)
		if err != nil {
			return err
		}
		return printList(p.out, m.output, columns, items)
	})
}

// list gets the pages of a list.
func (m *manage) list(ctx context.Context, path string, f *listFlags, more func(url.Values)) (items []object, err error) {
	const page = 500
	for {
		size := page
		if f.limit > 0 {
			size = min(page, f.limit-len(items))
		}
		q := url.Values{"offset": {strconv.Itoa(len(items))}, "limit": {strconv.Itoa(size)}}
		if f.filter != "" {
			q.Set("filter", f.filter)
		}
		if f.sort != "" {
			q.Set("sort", f.sort)
		}
		if f.desc {
			q.Set("order", "desc")
		}
		if more != nil {
			more(q)
		}
		var got struct {
			Items []object `json:"items"`
			Total int      `json:"total"`
		}
		if err := m.api.call(ctx, "GET", path, q, nil, &got); err != nil {
			return nil, err
		}
		items = append(items, got.Items...)
		if len(got.Items) < size || len(items) >= got.Total || len(items) == f.limit {
			return items, nil
		}
	}
}

// post sends all of in, however long that takes, and prints the object that the
// API answers.
func (m *manage) post(ctx context.Context, path string, query url.Values, in io.Reader, columns []column) error {
	answer, err := m.api.open(ctx, "POST", path, query, "", bufio.NewReader(in))
	if err != nil {
		return err
	}
	defer answer.Close()
	var out object
	d := json.NewDecoder(answer)
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return fmt.Errorf("the answer broke off: %w", err)
	}
	return printOne(m.p.out, m.output, columns, out)
}

// act calls the API and prints the object that it answers, or done.
func (m *manage) act(ctx context.Context, method, path string, query url.Values, in any, columns []column) error {
	if columns == nil {
		return m.api.call(ctx, method, path, query, in, nil)
	}
	var out object
	if err := m.api.call(ctx, method, path, query, in, &out); err != nil {
		return err
	}
	return printOne(m.p.out, m.output, columns, out)
}

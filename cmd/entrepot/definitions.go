package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func (p *program) definitionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "definitions", Aliases: []string{"defs"}, Short: "Export and import what exists beside messages",
		Long:    "Queues, topics that were made on purpose, and durable subscriptions of a running broker,\nas one JSON document. Messages are exported and imported by \"entrepot queue\".",
		Example: "  entrepot definitions export --file broker.json\n  entrepot definitions import --file broker.json --console other:8161",
	}
	asGroup(cmd)
	cmd.AddCommand(p.definitionsExport(), p.definitionsImport())
	return cmd
}

func (p *program) definitionsExport() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use: "export", Short: "Write the definitions as JSON",
		Long:    "Writes what exists beside messages as one JSON document, which import takes.",
		Example: "  entrepot definitions export > broker.json",
	}
	cmd.Flags().StringVar(&file, "file", "", "file to write to (default stdout)")
	return p.managed(cmd, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		document, err := m.api.open(ctx, "GET", "/definitions", nil, "", nil)
		if err != nil {
			return err
		}
		defer document.Close()
		return p.save(file, document)
	})
}

// save copies from into a file that only this user reads, or to stdout if it
// has no name.
func (p *program) save(file string, from io.Reader) error {
	if file == "" {
		_, err := io.Copy(p.out, from)
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (p *program) definitionsImport() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use: "import", Short: "Make what export wrote",
		Long:    "Makes what doesn't exist. Nothing is changed or removed, so an import can be repeated.",
		Example: "  entrepot definitions import < broker.json",
	}
	cmd.Flags().StringVar(&file, "file", "", "file to read (default stdin)")
	return p.managed(cmd, 0, 0, func(ctx context.Context, m *manage, _ []string) error {
		in := p.in
		if file != "" {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			in = f
		}
		return m.post(ctx, "/definitions", nil, in, []column{
			{"QUEUES", "queues", false}, {"TOPICS", "topics", false}, {"SUBSCRIPTIONS", "subscriptions", false},
		})
	})
}

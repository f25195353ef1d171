package main

import (
	"context"

	"github.com/spf13/cobra"
)

var transactionColumns = []column{
	{"ID", "id", false}, {"USER", "user", false}, {"SENDS", "sends", false}, {"SETTLES", "settles", false}, {"TO", "destinations", true},
}

func (p *program) transactionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tx", Aliases: []string{"transaction"}, Short: "End prepared transactions of a running broker",
		Long: `Transactions that were prepared (XA) wait for their transaction manager to end them.
If it is lost, they are ended here. Asks the HTTP API of a running broker.`,
		Example: "  entrepot tx ls\n  entrepot tx rollback 00001234046761702d31",
	}
	asGroup(cmd)
	cmd.AddCommand(p.listCommand(&cobra.Command{
		Short: "List prepared transactions", Long: "Lists the transactions that were prepared and wait for their end. --filter selects by\nid and user.",
		Example: "  entrepot tx ls -o wide",
	}, "/transactions", transactionColumns, nil), p.transactionEnd("commit", "Commit"), p.transactionEnd("rollback", "Roll back"))
	return cmd
}

func (p *program) transactionEnd(verb, title string) *cobra.Command {
	return p.managed(&cobra.Command{
		Use: verb + " ID", Short: title + " a prepared transaction",
		Long:    title + " a prepared transaction. Its transaction manager, if it comes back, is told that\nthere is none of that name.",
		Example: "  entrepot tx " + verb + " 00001234046761702d31 --yes", Annotations: destructive,
	}, 1, 1, func(ctx context.Context, m *manage, args []string) error {
		if err := m.confirm(verb + " transaction " + args[0]); err != nil {
			return err
		}
		return m.act(ctx, "POST", "/transactions/"+element(args[0])+"/"+verb, nil, nil, nil)
	})
}

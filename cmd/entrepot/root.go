package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/cmd/bench"
)

// helpTemplate puts examples first: they are what most readers look for.
const helpTemplate = `{{.Long | trim}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}
Usage:
{{- if index .Annotations "alone"}}
  {{.UseLine}}{{end}}
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND [flags]{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}

"{{.CommandPath}} COMMAND --help" tells more about a command.
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`

// run executes a command line and returns the process's exit code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if child, ok := errors.AsType[*childError](err); ok { // it has said itself what is wrong
		return child.ExitCode()
	}
	fmt.Fprintf(p.err, "entrepot: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(p.err, "%q shows how to use it.\n", cmd.CommandPath()+" --help")
	}
	return exitCode(err)
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "entrepot",
		Short: "A message broker that speaks many protocols",
		Long:  "Entrepot is a message broker: clients of many protocols share its queues and topics.",
		Example: `  entrepot serve                          run a broker on its defaults
  entrepot sub /queue/hello               print what arrives in a queue
  entrepot pub /queue/hello "Hello"       send a message
  entrepot health                         is the broker ready?`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	asGroup(root)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetHelpTemplate(helpTemplate)
	root.SetHelpCommand(&cobra.Command{Hidden: true})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(p.serveCommand(), p.pubCommand(), p.subCommand(), bench.Command(), p.storeCommand(),
		p.queueCommand(), p.topicCommand(), p.connCommand(), p.msgCommand(), p.schedCommand(), p.transactionCommand(), p.definitionsCommand(), p.clusterCommand(), p.demoCommand(),
		p.userCommand(), p.aclCommand(), p.configCommand(), p.healthCommand(), p.versionCommand())
	root.InitDefaultCompletionCmd()
	return root
}

// asGroup makes cmd show its help, and a word that is no subcommand an error
// with a suggestion.
func asGroup(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		cmd.SuggestionsMinimumDistance = 2
		near := cmd.SuggestionsFor(args[0])
		if len(near) > 0 {
			return usagef("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return usagef("unknown command %q", args[0])
	}
}

// arguments accepts up to most arguments, any number if most is negative.
func arguments(most int) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if most >= 0 && len(args) > most {
			return usagef("%q is one argument too many", args[most])
		}
		return nil
	}
}

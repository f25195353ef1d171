package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/entrepot-mq/entrepot/cmd/config"
)

// settingFlags are the flags of serve and config that give settings.
type settingFlags struct {
	file    string
	dataDir string
	listen  []string
	console string
	set     []string
}

func (s *settingFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.file, "config", "", "configuration file (default ENTREPOT_CONFIG, or none)")
	f.StringVar(&s.dataDir, "data-dir", "", "directory of the store (default ./data)")
	f.StringArrayVar(&s.listen, "listen", nil, "listener `URI`; give it again for more; replaces the default listeners")
	f.StringVar(&s.console, "console", "", "`host:port` of health, metrics and console, or none")
	f.StringArrayVar(&s.set, "set", nil, "any other setting, as `key=value`; give it again for more")
}

// load reads the configuration that flags, environment and file make up, and
// checks what config itself can't: the listeners' URIs.
func (p *program) load(f *pflag.FlagSet, s *settingFlags) (*config.Loaded, error) {
	in := config.Inputs{File: s.file, Env: p.env}
	if in.File == "" {
		in.File = p.getenv(config.EnvPrefix + "CONFIG")
	}
	for _, arg := range s.set {
		flag, err := config.SetFlag(arg)
		if err != nil {
			return nil, &usageError{err}
		}
		in.Flags = append(in.Flags, flag)
	}
	add := func(name, key string, values ...string) {
		if f.Changed(name) {
			in.Flags = append(in.Flags, config.Flag{Name: "--" + name, Key: key, Values: values})
		}
	}
	add("data-dir", "dataDir", s.dataDir)
	add("listen", "listeners", s.listen...)
	add("console", "console.address", s.console)
	loaded, err := config.Load(in)
	if err != nil {
		return nil, err
	}
	if _, err := parseListeners(loaded); err != nil {
		return nil, err
	}
	return loaded, nil
}

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check or show the configuration",
		Long:    "Works with the configuration that serve would use, without starting a broker.",
		Example: "  entrepot config check --config entrepot.yaml\n  entrepot config show --origin",
	}
	asGroup(cmd)
	cmd.AddCommand(p.configCheckCommand(), p.configShowCommand())
	return cmd
}

func (p *program) configCheckCommand() *cobra.Command {
	var settings settingFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration is right",
		Long: `Reads file, environment and flags as serve does, and reports everything that is
wrong with line, column and what to do. Ends with 78 if the configuration can't
be used.`,
		Example: "  entrepot config check --config entrepot.yaml",
		Args:    arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd.Flags(), &settings)
			if err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				fmt.Fprintf(p.err, "entrepot: warning: %s\n", w)
			}
			_, err = fmt.Fprintln(p.out, "the configuration is right")
			return err
		},
	}
	settings.register(cmd.Flags())
	return cmd
}

func (p *program) configShowCommand() *cobra.Command {
	var settings settingFlags
	var origin, plain bool
	var output string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the settings in force",
		Long: `Prints every setting that serve would use, as a configuration file with the
meaning of each key beside it. With --origin it prints a table of where each
value came from: flags win over the environment, which wins over the file,
which wins over the defaults.`,
		Example: `  entrepot config show > entrepot.yaml      start a file from the defaults
  entrepot config show --origin --config entrepot.yaml
  entrepot config show -o json              with keys, origins and environment names`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := p.load(cmd.Flags(), &settings)
			switch {
			case err != nil:
				return err
			case output == "json":
				return json.NewEncoder(p.out).Encode(loaded.Entries())
			case output != "yaml":
				return usagef("--output %q is neither yaml nor json", output)
			case origin:
				return loaded.WriteOrigins(p.out)
			}
			return loaded.WriteYAML(p.out, !plain)
		},
	}
	settings.register(cmd.Flags())
	cmd.Flags().BoolVar(&origin, "origin", false, "print where each value came from")
	cmd.Flags().BoolVar(&plain, "plain", false, "leave the comments out")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	return cmd
}

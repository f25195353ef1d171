package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/core/security"
)

const userLong = `Works on the users file, which need not exist yet. A running broker reads it
again on SIGHUP. The file is the one that --users names, or security.users of the
configuration.

A password is asked for twice on a terminal, or read from the first line of
standard input; it is never taken from the command line, where others could see
it. It is kept as an argon2id hash, and as what SCRAM-SHA-256 checks it against,
by which clients can log in without sending it.`

// noScram is the flag's text of commands that set a password.
const noScram = "keep the argon2id hash only, which is harder to guess from if the file is stolen; no SCRAM for this user"

func (p *program) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage the users that may connect",
		Long:  userLong,
		Example: `  entrepot user add alice --groups operators --users users
  entrepot user passwd alice --users users < password-file
  entrepot user ls --config entrepot.yaml`,
	}
	asGroup(cmd)
	cmd.AddCommand(p.userAddCommand(), p.userPasswdCommand(), p.userRmCommand(), p.userLsCommand())
	return cmd
}

// securityFlags say which files a command is about.
type securityFlags struct {
	config, users, permissions string
}

func (s *securityFlags) register(f *pflag.FlagSet) {
	f.StringVar(&s.users, "users", "", "the users file (default security.users of the configuration)")
	f.StringVar(&s.config, "config", "", "configuration file (default ENTREPOT_CONFIG, or none)")
}

// load returns the configuration's section, with what flags say instead.
func (p *program) loadSecurity(f *securityFlags) (*config.Security, error) {
	in := config.Inputs{File: f.config, Env: p.env}
	if in.File == "" {
		in.File = p.getenv(config.EnvPrefix + "CONFIG")
	}
	if f.users != "" {
		in.Flags = append(in.Flags, config.Flag{Name: "--users", Key: "security.users", Values: []string{f.users}})
	}
	if f.permissions != "" {
		in.Flags = append(in.Flags, config.Flag{Name: "--permissions", Key: "security.permissions", Values: []string{f.permissions}})
	}
	loaded, err := config.Load(in)
	if err != nil {
		return nil, err
	}
	return &loaded.Security, nil
}

// usersFile returns the name of the users file.
func (p *program) usersFile(f *securityFlags) (string, error) {
	s, err := p.loadSecurity(f)
	if err != nil {
		return "", err
	}
	if s.Users == "" {
		return "", usagef("which users file? Name it with --users, or security.users of the configuration")
	}
	return s.Users, nil
}

// userName checks a command's only argument.
func userName(args []string) (string, error) {
	if len(args) == 0 {
		return "", usagef("which user? Give a name")
	}
	if err := security.ValidateName(args[0]); err != nil {
		return "", usagef("user %q: %v", args[0], err)
	}
	return args[0], nil
}

func (p *program) userAddCommand() *cobra.Command {
	var files securityFlags
	var groups string
	var none, hashOnly bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: userLong + `

With --no-password the user logs in with a client certificate or a token only,
and the entry gives the groups.`,
		Example: "  entrepot user add alice --groups operators,billing --users users",
		Args:    arguments(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := userName(args)
			if err != nil {
				return err
			}
			list, err := security.ParseGroups(groups)
			if err != nil {
				return usagef("--groups: %v", err)
			}
			file, err := p.usersFile(&files)
			if err != nil {
				return err
			}
			return changeUsers(file, func(u *security.Users) error {
				if u.Find(name) != nil {
					return fmt.Errorf("user %q: %w; \"entrepot user passwd\" changes the password", name, security.ErrUserExists)
				}
				if err := u.Add(name, security.NoPassword, list); err != nil || none {
					return err
				}
				return p.setPassword(u, name, !hashOnly)
			})
		},
	}
	files.register(cmd.Flags())
	cmd.Flags().StringVar(&groups, "groups", "", "the user's groups, separated by commas")
	cmd.Flags().BoolVar(&none, "no-password", false, "no password logs the user in")
	cmd.Flags().BoolVar(&hashOnly, "no-scram", false, noScram)
	return cmd
}

func (p *program) userPasswdCommand() *cobra.Command {
	var files securityFlags
	var hashOnly bool
	cmd := &cobra.Command{
		Use:     "passwd NAME",
		Short:   "Change a user's password",
		Long:    userLong,
		Example: "  entrepot user passwd alice --users users",
		Args:    arguments(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := userName(args)
			if err != nil {
				return err
			}
			file, err := p.usersFile(&files)
			if err != nil {
				return err
			}
			return changeUsers(file, func(u *security.Users) error {
				if u.Find(name) == nil {
					return fmt.Errorf("user %q: %w", name, security.ErrUserUnknown)
				}
				return p.setPassword(u, name, !hashOnly)
			})
		},
	}
	files.register(cmd.Flags())
	cmd.Flags().BoolVar(&hashOnly, "no-scram", false, noScram)
	return cmd
}

func (p *program) userRmCommand() *cobra.Command {
	var files securityFlags
	cmd := &cobra.Command{
		Use:     "rm NAME",
		Short:   "Remove a user",
		Long:    "Removes a user from the users file. After SIGHUP a running broker ends the user's connections.",
		Example: "  entrepot user rm alice --users users",
		Args:    arguments(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := userName(args)
			if err != nil {
				return err
			}
			file, err := p.usersFile(&files)
			if err != nil {
				return err
			}
			return changeUsers(file, func(u *security.Users) error { return u.Remove(name) })
		},
	}
	files.register(cmd.Flags())
	return cmd
}

func (p *program) userLsCommand() *cobra.Command {
	var files securityFlags
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the users",
		Long:    "Lists the users of the users file with how their passwords are kept and their groups.",
		Example: "  entrepot user ls --users users",
		Args:    arguments(0),
		RunE: func(*cobra.Command, []string) error {
			file, err := p.usersFile(&files)
			if err != nil {
				return err
			}
			u, err := readUsers(file)
			if err != nil {
				return err
			}
			t := tabwriter.NewWriter(p.out, 0, 4, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tPASSWORD\tSCRAM\tGROUPS")
			all := u.All()
			slices.SortFunc(all, func(a, b *security.User) int { return strings.Compare(a.Name, b.Name) })
			for _, user := range all {
				scram := "no"
				if user.HasVerifier() {
					scram = "yes"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", user.Name, user.Scheme(), scram, strings.Join(user.Groups, ","))
			}
			return t.Flush()
		},
	}
	files.register(cmd.Flags())
	return cmd
}

// setPassword asks for a user's new password and puts what is kept of it into u.
func (p *program) setPassword(u *security.Users, name string, scram bool) error {
	password, err := p.askPassword(name)
	if err != nil {
		return err
	}
	hash, err := security.HashPassword(password)
	if err != nil {
		return err
	}
	if err := u.SetHash(name, hash); err != nil || !scram {
		return err
	}
	verifier, err := security.NewVerifier(password)
	if err != nil {
		return err
	}
	return u.SetVerifier(name, verifier)
}

// askPassword asks for a new password, twice on a terminal.
func (p *program) askPassword(name string) (password string, err error) {
	file, ok := p.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(p.in, security.MaxPassword+2)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	fmt.Fprintf(p.err, "Password of %s: ", name)
	first, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(p.err)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(p.err, "Once more: ")
	second, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(p.err)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the password: %w", err)
	case string(first) != string(second):
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return string(first), nil
}

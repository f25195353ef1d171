package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

func (p *program) aclCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "acl",
		Short:   "Ask what users may do",
		Long:    "Works with the users file and the permissions file, without a broker.",
		Example: "  entrepot acl test --user alice --op write queue://orders --config entrepot.yaml",
	}
	asGroup(cmd)
	cmd.AddCommand(p.aclTestCommand())
	return cmd
}

// deniedError ends "acl test" with the exit code of an error after the answer
// is out.
type deniedError struct{ question string }

func (e *deniedError) Error() string { return "denied: " + e.question }

// aclQuestion is what "acl test" asks.
type aclQuestion struct {
	files                    securityFlags
	user, groups, client, op string
}

func (p *program) aclTestCommand() *cobra.Command {
	var q aclQuestion
	cmd := &cobra.Command{
		Use:   "test DESTINATION",
		Short: "Say whether a user may do something, and why",
		Long: `Answers yes or no, and names the line that decides. Ends with 1 if the answer
is no. DESTINATION is queue://name, topic://name, temp-queue://name or
temp-topic://name; for a pattern, the answer is for everything that it selects.

The user's groups are those of the users file; --groups gives others, for users
whose token names them.`,
		Example: `  entrepot acl test --user alice --op write queue://orders
  entrepot acl test --user meter-17 --groups meters --op read "topic://config.>"`,
		Args: arguments(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("which destination? Give for example queue://orders")
			}
			d, err := message.ParseDestination(args[0], message.KindNone)
			switch {
			case err != nil:
				return usagef("%v", err)
			case d.IsZero():
				return usagef("%q: say what it is: queue://%s or topic://%s", args[0], d.Name, d.Name)
			case d.IsComposite():
				return usagef("%q names several destinations; ask for one at a time", args[0])
			}
			return p.aclTest(&q, d)
		},
	}
	q.files.register(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&q.files.permissions, "permissions", "", "the permissions file (default security.permissions of the configuration)")
	f.StringVar(&q.user, "user", "", "the user's name")
	f.StringVar(&q.groups, "groups", "", "groups, separated by commas, instead of those of the users file")
	f.StringVar(&q.client, "client-id", "", "the connection's client id, for permissions with $clientid")
	f.StringVar(&q.op, "op", "", "read, write, create or admin")
	return cmd
}

func (p *program) aclTest(q *aclQuestion, d message.Destination) error {
	action, err := security.ParseAction(q.op)
	switch {
	case q.user == "":
		return usagef("which user? Give --user")
	case err != nil:
		return usagef("--op: %v", err)
	case action != security.Admin|security.Create && action&(action-1) != 0:
		return usagef("--op %s: ask for one action at a time", q.op)
	}
	if action.Has(security.Admin) {
		action = security.Admin
	}
	s, err := p.aclSecurity(q)
	if err != nil {
		return err
	}
	who, err := q.principal(s)
	if err != nil {
		return err
	}
	decision := decide(s, who, action, d)
	answer := "yes"
	if !decision.Allowed {
		answer = "no"
	}
	fmt.Fprintf(p.out, "%s: %s\n", answer, decision.Why)
	if !decision.Allowed {
		return &deniedError{fmt.Sprintf("%s on %s by %q", action, d, q.user)}
	}
	return nil
}

// aclSecurity reads the files that the question is about.
func (p *program) aclSecurity(q *aclQuestion) (*security.Security, error) {
	s, err := p.loadSecurity(&q.files)
	if err != nil {
		return nil, err
	}
	if !s.Authenticates() {
		return nil, usagef("which users file? Name it with --users, or the configuration with --config")
	}
	o := securityOptions(s, nil)
	o.Tokens = security.TokenOptions{} // no token is looked at, so their keys aren't needed
	if o.Users == "" && o.Certificate == security.CertificateNone {
		o.Certificate = security.CertificateCN
	}
	return security.Open(o)
}

// principal returns who the question is about.
func (q *aclQuestion) principal(s *security.Security) (*security.Principal, error) {
	who := s.Find(q.user)
	if who == nil {
		who = &security.Principal{Name: q.user}
	}
	if q.groups != "" {
		groups, err := security.ParseGroups(q.groups)
		if err != nil {
			return nil, usagef("--groups: %v", err)
		}
		who.Groups = groups
	}
	return who.WithClientID(q.client), nil
}

func decide(s *security.Security, who *security.Principal, a security.Action, d message.Destination) security.Decision {
	if !message.IsPattern(d.Name) {
		return s.Authorize(who, a, d)
	}
	all, some := s.AllowedPattern(who, d)
	switch {
	case all.Has(a):
		return security.Decision{Allowed: true, Why: fmt.Sprintf("one permission grants %s on everything that %s selects", a, d)}
	case some.Has(a):
		return security.Decision{Why: fmt.Sprintf("%s is granted on some of what %s selects, and not on all of it by one permission: "+
			"a consumer of the pattern receives that part, a durable subscription is refused", a, d)}
	}
	return security.Decision{Why: fmt.Sprintf("no permission grants %s on anything that %s selects", a, d)}
}

package main

import (
	"context"
	"os"

	"github.com/entrepot-mq/entrepot/cmd/config"
	"github.com/entrepot-mq/entrepot/core/security"
)

// openSecurity reads users and permissions, if there are any.
func (n *node) openSecurity() (err error) {
	s := &n.cfg.Security
	if n.audit, err = security.OpenAudit(s.AuditLog, n.log.Logger); err != nil {
		return config.Invalid(n.cfg.Problem("security.auditLog", err))
	}
	if !s.Authenticates() {
		return nil
	}
	if n.security, err = security.Open(securityOptions(s, n.log)); err != nil {
		return config.Invalid(n.cfg.Problem("security", err))
	}
	if !n.security.HasPermissions() {
		n.log.Warn("every user may do everything", "key", "security.permissions")
	}
	if info, err := os.Stat(s.Users); err == nil && info.Mode().Perm()&0o007 != 0 {
		n.log.Warn("everybody on this machine can read the password hashes", "file", s.Users, "mode", info.Mode().Perm().String())
	}
	return nil
}

func securityOptions(s *config.Security, log *logging) security.Options {
	o := security.Options{
		Users: s.Users, Permissions: s.Permissions, Certificate: security.CertificateName(s.CertificateUser),
		Tokens: security.TokenOptions{
			Keys: s.JWT.Keys, Issuer: s.JWT.Issuer, Audience: s.JWT.Audience,
			NameClaim: s.JWT.NameClaim, GroupsClaim: s.JWT.GroupsClaim,
		},
	}
	if log != nil {
		o.Logger = log.Logger
	}
	return o
}

// reloadSecurity takes changed users and permissions, all or none, and ends
// what is not allowed any more.
func (n *node) reloadSecurity(ctx context.Context) error {
	if n.security == nil {
		return nil
	}
	err := n.security.Reload()
	n.audit.Record(ctx, security.Event{Who: "signal", How: "SIGHUP", Action: "reload security", Target: n.cfg.BrokerName, Err: err})
	if err != nil {
		return err
	}
	if b := n.current(); b != nil {
		b.Reauthorize()
	}
	return nil
}

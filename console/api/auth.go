package api

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// Role is what a caller may do; each includes those before it.
type Role uint8

// The roles.
const (
	None    Role = iota // nothing but the description of the API
	Read                // see everything, messages too
	Operate             // work with messages, pause, close connections
	Admin               // make and delete destinations, import definitions
)

var roleNames = [...]string{"none", "read", "operate", "admin"}

// String returns the role's name.
func (r Role) String() string { return roleNames[r] }

// ParseRole reads what String writes.
func ParseRole(s string) (Role, error) {
	for i, name := range roleNames {
		if s == name {
			return Role(i), nil
		}
	}
	return None, fmt.Errorf("there is no role %q: the roles are %s", s, strings.Join(roleNames[:], ", "))
}

// caller is who asks.
type caller struct {
	name, how string
	role      Role
	principal *security.Principal // nil without security
}

// identify finds out who asks.
func (a *API) identify(r *http.Request) (*caller, error) {
	if a.o.Security == nil {
		return local(r)
	}
	login, passcode, ok := r.BasicAuth()
	if !ok {
		passcode, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if !ok && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
		return &caller{name: "anonymous", how: "none"}, nil
	}
	p, err := a.o.Security.Authenticate(r.Context(), security.Credentials{Login: login, Passcode: security.NewSecret(passcode), TLS: r.TLS})
	switch {
	case errors.Is(err, security.ErrBusy):
		return nil, &problem{status: http.StatusServiceUnavailable, detail: err.Error()}
	case err != nil:
		a.o.Logger.Warn("an API request was refused", "remote", r.RemoteAddr, "login", login, "error", errors.Unwrap(err))
		return nil, &problem{status: http.StatusUnauthorized, detail: err.Error()}
	}
	c := &caller{name: p.Name, how: p.How.String(), principal: p}
	for _, g := range p.Groups {
		c.role = max(c.role, a.o.Roles[g])
	}
	return c, nil
}

// callerModel is who asks, as it goes out.
type callerModel struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	How   string `json:"how"`
	Users bool   `json:"users"`
}

// caller tells who asks what they may do.
func (c *call) caller() error {
	return c.json(http.StatusOK, callerModel{c.who.name, c.who.role.String(), c.who.how, c.o.Security != nil})
}

// local trusts this machine, and only if it was asked for by a name that is
// this machine's: a name that a stranger's page had point here is not.
func local(r *http.Request) (*caller, error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, &problem{status: http.StatusForbidden, detail: "without a users file only this machine is served"}
	}
	name := r.Host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &problem{status: http.StatusForbidden, detail: "without a users file the API is to be asked as localhost or by a loopback address"}
	}
	return &caller{name: "local", how: "loopback", role: Admin}, nil
}

// allow decides whether the caller may use the route.
func (c *call) allow(route *Route) error {
	if c.who.role < route.Role {
		if c.who.principal == nil && c.o.Security != nil {
			return &problem{status: http.StatusUnauthorized, detail: "log in, by Basic authentication or a Bearer token"}
		}
		return &problem{
			status: http.StatusForbidden,
			detail: fmt.Sprintf("this takes the role %s, and %s has %s", route.Role, c.who.name, c.who.role),
		}
	}
	d := route.destination(c.r)
	switch permit := c.permitted(); {
	case d.IsZero():
	case route.Action != 0:
		return c.may(route.Action, d)
	case permit != nil && !permit(d):
		return &problem{status: http.StatusForbidden, detail: c.who.name + " has no permission for " + d.String()}
	}
	return nil
}

// may asks for the permission on a destination.
func (c *call) may(action security.Action, d message.Destination) error {
	if c.o.Security == nil || c.who.principal == nil {
		return nil
	}
	if answer := c.o.Security.Authorize(c.who.principal, action, d); !answer.Allowed {
		return &problem{status: http.StatusForbidden, detail: answer.Why}
	}
	return nil
}

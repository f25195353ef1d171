package websocket

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/entrepot-mq/entrepot/protocols"
)

// checkOrigin refuses browsers on pages that have no business here: any page
// in the world can try to open a WebSocket to this machine with its visitor's
// network position.
func checkOrigin(c *protocols.Conn, r *http.Request, allowed []string) error {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return nil // no browser
	}
	if len(origins) > 1 {
		return refuse(http.StatusForbidden, "More than one Origin header.")
	}
	origin := origins[0]
	allow := sameOrLoopback(c, r, origin)
	if len(allowed) > 0 {
		allow = listed(origin, allowed)
	}
	if !allow {
		return refuse(http.StatusForbidden, "Pages of origin %q may not connect: list it in the listener's %s.", origin, optionAllowedOrigins)
	}
	return nil
}

// listed compares with whole origins ("https://app.example"), hosts
// ("app.example", "app.example:8443"), all hosts below one ("*.example") and
// everything ("*").
func listed(origin string, allowed []string) bool {
	host, name := "", ""
	if u, err := url.Parse(origin); err == nil {
		host, name = u.Host, u.Hostname()
	}
	for _, a := range allowed {
		below, wild := strings.CutPrefix(a, "*.")
		switch {
		case a == "*", strings.EqualFold(a, origin):
			return true
		case host == "":
		case strings.EqualFold(a, host), strings.EqualFold(a, name):
			return true
		case wild && strings.HasSuffix(strings.ToLower(name), "."+strings.ToLower(below)):
			return true
		}
	}
	return false
}

// sameOrLoopback is the rule without a list. The same host is believed only
// where DNS can't be made to lie: a foreign page whose name was pointed at
// 127.0.0.1 after it was loaded is of the same host too, and a broker without
// users serves whoever is on this machine.
func sameOrLoopback(c *protocols.Conn, r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // "null": a sandboxed page, a file
	}
	if isLoopback(u.Hostname()) {
		return true
	}
	if !strings.EqualFold(u.Host, r.Host) {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil || c.TLS != nil || !fromThisMachine(c.Remote)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func fromThisMachine(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

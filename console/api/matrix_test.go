package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/security"
)

// TestMatrixOfPermissions has each route that names a destination asked by
// users who have one permission each, or none, for that destination and the
// highest role: it is answered if it is the permission that the route takes.
func TestMatrixOfPermissions(t *testing.T) {
	dir := t.TempDir()
	hash, err := security.HashPassword("a long enough password")
	if err != nil {
		t.Fatal(err)
	}
	grants := []string{"nothing", "read", "write", "create", "admin"}
	var users, permissions strings.Builder
	for _, g := range grants {
		fmt.Fprintf(&users, "%s:%s:admins\n%s-operator:%s:operators\n", g, hash, g, hash)
		if g != "nothing" {
			fmt.Fprintf(&permissions, "queue://q.> %s %s %s-operator\ntopic://q.> %s %s %s-operator\n", g, g, g, g, g, g)
		}
	}
	for file, text := range map[string]string{"/users": users.String(), "/permissions": permissions.String()} {
		if err := writeFile(dir+file, text); err != nil {
			t.Fatal(err)
		}
	}
	s, err := security.Open(security.Options{Users: dir + "/users", Permissions: dir + "/permissions"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) { o.Security, o.Roles = s, map[string]Role{"operators": Operate, "admins": Admin} })
	denied := func(user string, route Route) bool {
		path := strings.NewReplacer("{name}", "q.x", "{ref}", "1.1.1").Replace(route.Pattern)
		a := r.ask(route.Method, path, "{}", func(q *http.Request) { q.SetBasicAuth(user, "a long enough password") })
		if a.status == http.StatusUnauthorized || a.status >= 500 {
			t.Errorf("%s as %s: %d %s", route.Name, user, a.status, a.body)
		}
		return a.status == http.StatusForbidden
	}
	cells := 0
	for _, route := range routes {
		if !strings.Contains(route.Pattern, "{name}") {
			continue
		}
		for _, g := range grants {
			user, want := g, false
			var has security.Action
			if g != "nothing" {
				if has, err = security.ParseAction(g); err != nil {
					t.Fatal(err)
				}
			}
			if route.Action == 0 { // what lists show: any permission will do, and administrators see all
				user, want = g+"-operator", has == 0
			} else if !has.Has(route.Action) {
				want = true
			}
			if got := denied(user, route); got != want {
				t.Errorf("%s with the permission %s: denied %v, want %v", route.Name, g, got, want)
			}
			cells++
		}
	}
	if cells < 100 {
		t.Errorf("only %d cells", cells)
	}
	r.want(403, "", "POST", "/api/message/q.x?type=queue&body=x", "", func(q *http.Request) { q.SetBasicAuth("read", "a long enough password") })
	r.want(403, "", "GET", "/api/message/q.x?type=queue&readTimeout=1", "", func(q *http.Request) { q.SetBasicAuth("write", "a long enough password") })
}

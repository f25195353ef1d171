package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/core/security"
)

func TestTheBacklogOfADurableSubscriptionIsBrowsedAndPurged(t *testing.T) {
	r := newRig(t)
	r.want(200, "", "POST", "/api/v1/definitions", `{"version":1,"queues":[],"subscriptions":[`+
		`{"clientId":"c","name":"s","topic":"t"},{"clientId":"","name":"workers","topic":"t","shared":true}]}`)
	const text = `{"body":{"kind":"text","text":"hello"},"persistent":true}`
	r.want(201, "", "POST", "/api/v1/topics/t/messages", text)
	r.want(201, "", "POST", "/api/v1/topics/t/messages", text)
	for _, path := range []string{"/api/v1/subscriptions/c/s", "/api/v1/subscriptions/*/workers"} {
		got := decode[browsed](t, r.want(200, "", "GET", path+"/messages?limit=1", ""))
		if len(got.Items) != 1 || got.Next == "" {
			t.Fatalf("%s: %+v", path, got)
		}
		if n := decode[purged](t, r.want(200, "", "POST", path+"/purge", "")); n.Removed != 2 {
			t.Fatalf("%s: %+v", path, n)
		}
		if got := decode[browsed](t, r.want(200, "", "GET", path+"/messages", "")); len(got.Items) != 0 {
			t.Fatalf("%s: %+v after the purge", path, got)
		}
		r.want(204, "", "DELETE", path, "")
		r.want(404, "", "GET", path+"/messages", "")
	}
}

func TestTopicsAreMadeAndDeletedOverTheAPI(t *testing.T) {
	r := newRig(t)
	r.want(201, "", "POST", "/api/v1/topics", `{"name":"news"}`)
	r.want(200, "", "POST", "/api/v1/topics", `{"name":"news"}`)
	r.want(400, "", "POST", "/api/v1/topics", `{"name":"news.*"}`)
	got := decode[list[topicModel]](t, r.want(200, "", "GET", "/api/v1/topics", ""))
	if len(got.Items) != 1 || got.Items[0] != (topicModel{Name: "news", Created: true}) {
		t.Fatalf("%+v", got)
	}
	r.want(204, "", "DELETE", "/api/v1/topics/news", "")
	r.want(404, "", "DELETE", "/api/v1/topics/news", "")
}

func TestThePolicyOfADestinationIsShown(t *testing.T) {
	r := newRig(t)
	p := decode[policyModel](t, r.want(200, "", "GET", "/api/v1/policies?destination=queue://orders", ""))
	if p.Destination != "queue://orders" || !p.AutoCreate || p.Prefetch.Queue != 1000 || p.DeadLetter.Target != "queue://ActiveMQ.DLQ" ||
		p.Redelivery.Maximum != 10 || p.Pending.Limit != 1000 || p.Slow.Type != "none" || p.Recovery.Type != "none" {
		t.Fatalf("%+v", p)
	}
	for _, wrong := range []string{"", "queue://a,b", "queue://a.*", "queue://"} {
		if a := r.want(400, "", "GET", "/api/v1/policies?destination="+wrong, ""); !strings.Contains(a.body, "destination") {
			t.Errorf("%q: %s", wrong, a.body)
		}
	}
}

func TestListsShowWhatTheCallerMayKnowOf(t *testing.T) {
	dir := t.TempDir()
	secured(t, dir+"/users")
	if err := writeFile(dir+"/permissions", "queue://open.> read @readers\ntopic://open.> read @readers\n"); err != nil {
		t.Fatal(err)
	}
	s, err := security.Open(security.Options{Users: dir + "/users", Permissions: dir + "/permissions"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) {
		o.Security, o.Roles = s, map[string]Role{"readers": Read, "operators": Operate, "admins": Admin}
	})
	as := func(user string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(user, "a long enough password") }
	}
	for _, name := range []string{"open.a", "closed"} {
		if _, err := r.CreateQueue(name); err != nil {
			t.Fatal(err)
		}
		if _, err := r.CreateTopic(name); err != nil {
			t.Fatal(err)
		}
	}
	r.want(200, "", "POST", "/api/v1/definitions", `{"version":1,"queues":[],"subscriptions":[`+
		`{"clientId":"c","name":"o","topic":"open.>"},{"clientId":"c","name":"s","topic":"closed"}]}`, as("admin"))
	for _, path := range []string{"queues", "topics", "subscriptions"} {
		for user, want := range map[string]string{"reader": `open.`, "operator": `"total":0`, "admin": `"total":`} {
			a := r.want(200, want, "GET", "/api/v1/"+path, "", as(user))
			if user != "admin" && strings.Contains(a.body, "closed") || user == "admin" && !strings.Contains(a.body, "closed") {
				t.Errorf("%s sees in %s: %s", user, path, a.body)
			}
		}
	}
	r.want(200, "", "GET", "/api/v1/subscriptions/c/o/messages", "", as("reader"))
	r.want(403, "", "GET", "/api/v1/subscriptions/c/s/messages", "", as("reader"))
	r.want(403, "", "POST", "/api/v1/subscriptions/c/o/purge", "", as("operator"))
	r.want(403, "", "GET", "/api/v1/policies?destination=queue://closed", "", as("reader"))
	r.want(200, "", "GET", "/api/v1/policies?destination=queue://open.x", "", as("reader"))
}

package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a broker with its API.
type rig struct {
	t *testing.T
	*broker.Broker
	api    *API
	server *httptest.Server
	client *http.Client
}

func newRig(t *testing.T, edit ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t}
	b, err := broker.Open(broker.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r.Broker = b
	o := Options{
		Broker:     func() *broker.Broker { return r.Broker },
		Converters: message.Converters{message.EncodingHub: message.Hub{}},
		Version:    "1.2.3", StartedAt: time.Now(),
		Listeners: func() map[string]string { return map[string]string{"stomp": "stomp://127.0.0.1:61613"} },
	}
	for _, f := range edit {
		f(&o)
	}
	r.api = New(o)
	r.server = httptest.NewServer(r.api)
	r.client = r.server.Client()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		r.server.Close()
		if err := b.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return r
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (r *rig) ask(method, path, body string, edit ...func(*http.Request)) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range edit {
		f(req)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// want asks, and fails unless the answer has that status and part.
func (r *rig) want(status int, part, method, path, body string, edit ...func(*http.Request)) answer {
	r.t.Helper()
	a := r.ask(method, path, body, edit...)
	if a.status != status || !strings.Contains(a.body, part) {
		r.t.Fatalf("%s %s: %d %s\nwant %d with %s", method, path, a.status, a.body, status, part)
	}
	return a
}

func (r *rig) send(queue string, texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		b, err := json.Marshal(text)
		if err != nil {
			r.t.Fatal(err)
		}
		r.want(201, "ID:", "POST", "/api/v1/queues/"+queue+"/messages?create", `{"body":{"kind":"text","text":`+string(b)+`}}`)
	}
}

func decode[T any](t *testing.T, a answer) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	return v
}

// texts are the bodies that wait in a queue.
func (r *rig) texts(queue string) (out []string) {
	r.t.Helper()
	for _, m := range decode[browsed](r.t, r.want(200, "items", "GET", "/api/v1/queues/"+queue+"/messages?limit=500", "")).Items {
		out = append(out, *m.Body.Text)
	}
	return out
}

func (r *rig) wantTexts(queue string, want ...string) {
	r.t.Helper()
	if got := r.texts(queue); fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Fatalf("%s holds %q, want %q", queue, got, want)
	}
}

func TestErrorsAreProblemsThatSayWhatIsWrong(t *testing.T) {
	r := newRig(t)
	r.send("a", "1")
	long := strings.Repeat("x", maxJSON+1)
	for _, test := range []struct {
		method, path, body string
		status             int
		detail             string
	}{
		{"GET", "/api/v1/nothing", "", 404, "there is nothing at /api/v1/nothing"},
		{"GET", "/api/v1/queues/b", "", 404, "there is no such queue"},
		{"POST", "/api/v1/queues/b/purge", "", 404, "there is no such queue"},
		{"GET", "/api/v1/queues?limit=501", "", 400, `limit=\"501\" is not a number from 1 to 500`},
		{"GET", "/api/v1/queues?limit=0", "", 400, "is not a number"},
		{"GET", "/api/v1/queues?offset=-1", "", 400, "is not a number"},
		{"GET", "/api/v1/queues?offset=2147483648", "", 400, "is not a number"},
		{"GET", "/api/v1/queues?offset=18446744073709551616", "", 400, "is not a number"},
		{"GET", "/api/v1/queues?offset=1e3", "", 400, "is not a number"},
		{"GET", "/api/v1/queues?ofset=1", "", 400, `there is no parameter \"ofset\" here`},
		{"GET", "/api/v1/queues?limit=1&limit=2", "", 400, "given 2 times"},
		{"GET", "/api/v1/queues?order=up", "", 400, "neither asc nor desc"},
		{"GET", "/api/v1/queues?sort=colour", "", 400, "can't be sorted by"},
		{"GET", "/api/v1/queues?state=odd", "", 400, "there is no state"},
		{"GET", "/api/v1/queues/a/messages?from=xyz", "", 400, "not where a page ended"},
		{"GET", "/api/v1/queues/a/messages/1.2", "", 400, "not a reference"},
		{"GET", "/api/v1/queues/a/messages/1.2.3", "", 404, "not there any more"},
		{"DELETE", "/api/v1/queues/a/messages/1.2.3", "", 404, "not there any more"},
		{"DELETE", "/api/v1/queues/a", "", 409, "1 messages wait in it"},
		{"DELETE", "/api/v1/queues/a?force=maybe", "", 400, "neither true nor false"},
		{"POST", "/api/v1/queues", `{"name":"a.*"}`, 400, "more than one destination"},
		{"POST", "/api/v1/queues", `{"nam":"a"}`, 400, "unknown field"},
		{"POST", "/api/v1/queues", `{"name":"a"} {}`, 400, "more than one JSON value"},
		{"POST", "/api/v1/queues", `{"name":"` + long + `"}`, 413, "longer than 1048576 bytes"},
		{"POST", "/api/v1/queues", "", 400, "destination name is empty"},
		{"POST", "/api/v1/queues/a/move", `{"all":true}`, 400, "no destination"},
		{"POST", "/api/v1/queues/a/move", `{"all":true,"to":"a"}`, 400, "the destination is the queue itself"},
		{"POST", "/api/v1/queues/a/move", `{"all":true,"to":"b"}`, 404, "does not exist"},
		{"POST", "/api/v1/queues/a/move", `{"to":"b","create":true}`, 400, "which ones?"},
		{"POST", "/api/v1/queues/a/move", `{"to":"b","limit":-1}`, 400, "limit -1"},
		{"POST", "/api/v1/queues/a/retry", `{"to":"b","all":true}`, 400, "retry has no destination"},
		{"POST", "/api/v1/queues/b/messages", `{"body":{"kind":"text","text":"x"}}`, 404, "create it first"},
		{"POST", "/api/v1/queues/a/messages", `{"priority":10}`, 400, "priority 10"},
		{"POST", "/api/v1/queues/a/messages", `{"body":{"kind":"song"}}`, 400, "no kind of body"},
		{"POST", "/api/v1/queues/a/messages", `{"body":{"kind":"map","value":[1]}}`, 400, "not a map"},
		{"POST", "/api/v1/queues/a/messages", `{"properties":[{"name":"n","type":"int8","value":300}]}`, 400, `\"300\" is no int8`},
		{"POST", "/api/v1/queues/a/messages", `{"payload":"AAAA","encoding":"hub"}`, 400, "not what its encoding says"},
		{"POST", "/api/v1/queues/a/messages", `{"payload":"AAAA","encoding":"morse"}`, 400, "no encoding"},
		{"POST", "/api/v1/queues/a/messages", `{"body":{"kind":"value","value":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, 400, "nested too deep"},
		{"GET", "/api/v1/connections/x", "", 400, "not a connection's number"},
		{"GET", "/api/v1/connections/99", "", 404, "no connection 99"},
		{"DELETE", "/api/v1/subscriptions/c/s", "", 404, "none of that name"},
		{"POST", "/api/v1/definitions", `{"version":2}`, 400, "version 2 is unknown"},
	} {
		a := r.ask(test.method, test.path, test.body)
		if a.status != test.status || !strings.Contains(a.body, test.detail) || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s %.80s: %d %s %s\nwant %d with %s", test.method, test.path, test.body,
				a.status, a.header.Get("Content-Type"), a.body, test.status, test.detail)
		}
	}
	r.wantTexts("a", "1")
}

func TestMessagesAreSentBrowsedMovedAndDeleted(t *testing.T) {
	r := newRig(t)
	r.send("a", "1", "2", "3")
	r.want(201, "ID:", "POST", "/api/v1/queues/a/messages", `{"persistent":false,"priority":9,"correlationId":"c","replyTo":"topic://r",
		"properties":[{"name":"n","type":"int32","value":7},{"name":"s","value":"t"}],"body":{"kind":"map","value":{"k":[1,2.5,null,true]}}}`)
	page := decode[browsed](t, r.want(200, "", "GET", "/api/v1/queues/a/messages?limit=2", ""))
	if len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("%+v", page)
	}
	first := page.Items[0]
	if b, err := json.Marshal(first.Body); err != nil || string(b) != `{"kind":"map","value":{"k":[1,2.5,null,true]},"size":0}` {
		t.Errorf("body %s %v", b, err)
	}
	if b, err := json.Marshal(first.Properties); err != nil || string(b) != `[{"name":"n","type":"int32","value":7},{"name":"s","type":"string","value":"t"}]` {
		t.Errorf("properties %s %v", b, err)
	}
	if first.ReplyTo != "topic://r" || first.CorrelationID != "c" || *first.Persistent || *first.Priority != 9 {
		t.Errorf("%+v", first)
	}
	r.want(204, "", "DELETE", "/api/v1/queues/a/messages/"+first.Ref, "")
	second := page.Items[1]
	if a := r.want(200, "", "GET", "/api/v1/queues/a/messages/"+second.Ref+"/body", ""); a.body != "1" {
		t.Errorf("body %q", a.body)
	}
	r.want(200, `{"done":1,"skipped":[]}`, "POST", "/api/v1/queues/a/move", `{"to":"b","create":true,"messages":["`+second.Ref+`"]}`)
	r.want(200, `"done":2`, "POST", "/api/v1/queues/a/copy", `{"to":"queue://b","all":true}`)
	r.wantTexts("a", "2", "3")
	r.wantTexts("b", "1", "2", "3")
	r.want(200, `{"removed":3}`, "POST", "/api/v1/queues/b/purge", "")
	r.want(200, `"done":2`, "POST", "/api/v1/queues/a/delete", `{"all":true}`)
	r.want(204, "", "DELETE", "/api/v1/queues/a", "")
}

func TestNamesWithEveryCharacterAreReachable(t *testing.T) {
	r := newRig(t)
	for path, name := range map[string]string{"a%2Fb": "a/b", "a%2F%2Fb": "a//b", "%2E%2E": "..", "a%20b%3Fc": "a b?c", "%C3%BC%25": "ü%"} {
		r.send(path, "x")
		q := decode[queueModel](t, r.want(200, "", "GET", "/api/v1/queues/"+path, ""))
		if q.Name != name || q.Messages != 1 {
			t.Errorf("%s is %+v", path, q)
		}
	}
}

func TestExportIsImportedOnceHoweverOften(t *testing.T) {
	r := newRig(t)
	r.send("a", "1", "2", "3")
	a := r.want(200, "", "GET", "/api/v1/queues/a/export", "")
	if n := strings.Count(a.body, "\n"); n != 3 {
		t.Fatalf("%d lines: %s", n, a.body)
	}
	cut := a.body[:strings.LastIndex(strings.TrimSpace(a.body), "\n")+20]
	p := r.want(400, "", "POST", "/api/v1/queues/b/import?create", cut)
	if got := decode[map[string]any](t, p); got["imported"] != 2.0 || got["line"] != 3.0 {
		t.Errorf("a cut import says %s", p.body)
	}
	r.wantTexts("b", "1", "2")
	r.want(200, `{"imported":1,"duplicates":2,"lines":3}`, "POST", "/api/v1/queues/b/import", a.body)
	r.want(200, `{"imported":0,"duplicates":3,"lines":3}`, "POST", "/api/v1/queues/b/import", a.body)
	r.wantTexts("b", "1", "2", "3")
	// What was imported is exported under the id that it came with.
	again := r.want(200, "", "GET", "/api/v1/queues/b/export", "")
	r.want(200, `{"imported":0,"duplicates":3,"lines":3}`, "POST", "/api/v1/queues/a/import", again.body)
	r.want(404, "no such queue", "POST", "/api/v1/queues/c/import", a.body)
	r.want(400, `line 2: not a message`, "POST", "/api/v1/queues/b/import", strings.SplitAfter(a.body, "\n")[0]+"{}x\n")
}

func TestDefinitionsComeBack(t *testing.T) {
	r := newRig(t)
	r.want(201, `"name":"x"`, "POST", "/api/v1/queues", `{"name":"x"}`)
	r.want(200, `"name":"x"`, "POST", "/api/v1/queues", `{"name":"x"}`)
	r.want(200, `"paused":true`, "POST", "/api/v1/queues/x/pause", "")
	doc := `{"version":1,"queues":[{"name":"x","paused":true},{"name":"y"}],"topics":[{"name":"made"}],"subscriptions":[{"clientId":"c","name":"s","topic":"t.\u003e"}]}`
	r.want(200, `{"queues":1,"topics":1,"subscriptions":1}`, "POST", "/api/v1/definitions", doc)
	r.want(200, `{"queues":0,"topics":0,"subscriptions":0}`, "POST", "/api/v1/definitions", doc)
	if a := r.want(200, "", "GET", "/api/v1/definitions", ""); a.body != doc+"\n" {
		t.Errorf("got %s", a.body)
	}
	r.want(200, `"clientId":"c"`, "GET", "/api/v1/subscriptions?durable", "")
	r.want(204, "", "DELETE", "/api/v1/subscriptions/c/s", "")
	without := `{"version":1,"queues":[],"subscriptions":[]}` // as it was before topics were in it
	r.want(200, `{"queues":0,"topics":0,"subscriptions":0}`, "POST", "/api/v1/definitions", without)
}

func TestMessagesAreScheduledOverTheAPI(t *testing.T) {
	r := newRig(t)
	const path = "/api/v1/queues/q/messages?create"
	r.want(201, "ID:", "POST", path, `{"schedule":{"delay":3600000,"period":1000,"repeat":2},"body":{"kind":"text","text":"x"}}`)
	r.want(201, "ID:", "POST", path, `{"schedule":{"cron":"0 12 * * 1","zone":"Europe/Berlin"}}`)
	r.want(400, "62", "POST", path, `{"schedule":{"cron":"62 12 * * 1"}}`)
	r.want(400, "", "POST", path, `{"schedule":{"delay":-1}}`)
	var got []string
	for _, s := range decode[scheduled](t, r.want(200, "items", "GET", "/api/v1/schedules", "")).Items {
		got = append(got, fmt.Sprintf("%d %d %d %q %q", s.Delay, s.Period, s.Repeat, s.Cron, s.Zone))
	}
	slices.Sort(got)
	want := []string{`0 0 0 "0 12 * * 1" "Europe/Berlin"`, `3600000 1000 2 "" ""`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPreparedTransactionsAreEndedOverTheAPI(t *testing.T) {
	r := newRig(t)
	c := connectClient(t, r.Broker)
	first, second := prepare(t, c, "one"), prepare(t, c, "two")
	r.want(200, `"destinations":["queue://prepared"]}`, "GET", "/api/v1/transactions?filter="+first, "")
	c.Close()
	r.want(204, "", "POST", "/api/v1/transactions/"+first+"/commit", "")
	r.want(204, "", "POST", "/api/v1/transactions/"+second+"/rollback", "")
	r.want(404, "no transaction of that name", "POST", "/api/v1/transactions/"+first+"/rollback", "")
	r.want(400, "hexadecimal", "POST", "/api/v1/transactions/none/commit", "")
	r.want(200, `"total":0`, "GET", "/api/v1/transactions", "")
	if got := r.texts("prepared"); !slices.Equal(got, []string{"one"}) {
		t.Errorf("waiting: %q", got)
	}
}

func TestRatesAreStreamed(t *testing.T) {
	r := newRig(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.server.URL+"/api/v1/rates", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []byte
	for buf := make([]byte, 4096); !bytes.Contains(got, []byte("event: rate\ndata: {")); {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	line := string(got[bytes.Index(got, []byte("data: "))+6:])
	line, _, _ = strings.Cut(line, "\n")
	if problems := loadSpec(t).check("Rate", []byte(line)); len(problems) > 0 {
		t.Errorf("%s: %v", line, problems)
	}
	_ = resp.Body.Close()
	r.client.CloseIdleConnections()
	deadline := time.Now().Add(60 * time.Second)
	for running := true; running; {
		r.api.live.mu.Lock()
		running = r.api.live.running
		r.api.live.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("the sampler goes on without watchers")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOtherSitesAndOtherNamesAreRefused(t *testing.T) {
	r := newRig(t)
	r.send("a", "1")
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	r.want(403, "another site", "POST", "/api/v1/queues/a/purge", "", header("Origin", "http://evil.example"))
	r.want(403, "another site", "POST", "/api/v1/queues/a/purge", "", header("Sec-Fetch-Site", "cross-site"))
	r.want(403, "asked as localhost", "GET", "/api/v1/queues", "", func(q *http.Request) { q.Host = "evil.example:8161" })
	r.want(200, "", "GET", "/api/v1/queues", "", func(q *http.Request) { q.Host = "localhost:8161" })
	r.want(200, "", "POST", "/api/v1/queues/a/purge", "", header("Origin", r.server.URL))
	remote := httptest.NewRequest(http.MethodGet, "/api/v1/broker", nil)
	remote.RemoteAddr, remote.Host = "192.0.2.1:999", "localhost"
	w := httptest.NewRecorder()
	r.api.ServeHTTP(w, remote)
	if w.Code != 403 {
		t.Errorf("another machine gets %d", w.Code)
	}
}

func TestRolesAreThoseOfTheTable(t *testing.T) {
	users := t.TempDir() + "/users"
	s := secured(t, users)
	r := newRig(t, func(o *Options) {
		o.Security, o.Roles = s, map[string]Role{"readers": Read, "operators": Operate, "admins": Admin}
	})
	for _, route := range routes {
		path := strings.NewReplacer("{name}", "q", "{ref}", "1.2.3", "{id}", "999", "{client}", "c", "{subscription}", "s", "{path...}", "q", "{job}", "j").Replace(route.Pattern)
		if strings.HasPrefix(path, "/api/message") {
			path += "?type=queue&readTimeout=1"
		}
		if route.Name == "streamRates" {
			continue // it would stream; its role is tested with a refusal below
		}
		for user, role := range map[string]Role{"": None, "none": None, "reader": Read, "operator": Operate, "admin": Admin} {
			a := r.ask(route.Method, path, "", func(q *http.Request) {
				if user != "" {
					q.SetBasicAuth(user, "a long enough password")
				}
			})
			switch {
			case role >= route.Role && (a.status == 401 || a.status == 403):
				t.Errorf("%s may not %s: %s", user, route.Name, a.body)
			case role < route.Role && user == "" && a.status != 401, role < route.Role && user != "" && a.status != 403:
				t.Errorf("%q may %s: %d %s", user, route.Name, a.status, a.body)
			}
		}
	}
	r.want(401, "log in", "GET", "/api/v1/rates", "")
	r.want(401, "", "GET", "/api/v1/queues", "", func(q *http.Request) { q.SetBasicAuth("admin", "wrong") })
	r.want(403, "role read, and none has none", "GET", "/api/v1/rates", "", func(q *http.Request) { q.SetBasicAuth("none", "a long enough password") })
}

// secured returns the security of a users file with one user of each role.
func secured(t *testing.T, file string) *security.Security {
	t.Helper()
	hash, err := security.HashPassword("a long enough password")
	if err != nil {
		t.Fatal(err)
	}
	text := "none:" + hash + "\nreader:" + hash + ":readers\noperator:" + hash + ":operators\nadmin:" + hash + ":admins,readers\n"
	if err := writeFile(file, text); err != nil {
		t.Fatal(err)
	}
	s, err := security.Open(security.Options{Users: file})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPermissionsOfTheDestinationCountToo(t *testing.T) {
	dir := t.TempDir()
	secured(t, dir+"/users")
	if err := writeFile(dir+"/permissions", "queue://open.> all @admins\nqueue://open.> read @readers\n"); err != nil {
		t.Fatal(err)
	}
	s, err := security.Open(security.Options{Users: dir + "/users", Permissions: dir + "/permissions"})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *Options) { o.Security, o.Roles = s, map[string]Role{"readers": Read, "admins": Admin} })
	as := func(user string) func(*http.Request) {
		return func(q *http.Request) { q.SetBasicAuth(user, "a long enough password") }
	}
	for _, name := range []string{"open.a", "closed"} {
		if _, err := r.CreateQueue(name); err != nil {
			t.Fatal(err)
		}
	}
	const text = `{"body":{"kind":"text","text":"x"}}`
	r.want(201, "", "POST", "/api/v1/queues/open.a/messages", text, as("admin"))
	r.want(403, "", "POST", "/api/v1/queues/closed/messages", text, as("admin"))
	r.want(403, "", "GET", "/api/v1/queues/closed/messages", "", as("reader"))
	r.want(200, `"userId":"admin"`, "GET", "/api/v1/queues/open.a/messages", "", as("reader"))
	r.want(403, "", "POST", "/api/v1/queues/open.a/move", `{"all":true,"to":"closed"}`, as("admin"))
	r.want(403, "", "POST", "/api/v1/queues/closed/purge", "", as("admin"))
	r.want(403, "", "POST", "/api/v1/queues", `{"name":"closed.b"}`, as("admin"))
	r.want(200, `"messages":1`, "GET", "/api/v1/queues/open.a", "", as("reader"))
}

func TestNothingIsAnsweredWhileTheBrokerStarts(t *testing.T) {
	a := New(Options{Broker: func() *broker.Broker { return nil }})
	for path, want := range map[string]int{"/api/v1/broker": 503, "/api/v1/openapi.yaml": 200} {
		q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
		q.RemoteAddr = "127.0.0.1:1"
		w := httptest.NewRecorder()
		a.ServeHTTP(w, q)
		if w.Code != want {
			t.Errorf("%s is %d", path, w.Code)
		}
	}
}

package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
)

func TestSteppingDown(t *testing.T) {
	b, err := broker.Open(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	alone := httptest.NewServer(New(Options{Broker: func() *broker.Broker { return b }}))
	defer alone.Close()
	if status, body := get(t, alone.URL+"/api/v1/cluster/step-down"); status != http.StatusConflict || !strings.Contains(body, ErrAlone.Error()) {
		t.Errorf("alone: %d %q", status, body)
	}
	var answer error
	grouped := httptest.NewServer(New(Options{
		Broker: func() *broker.Broker { return b }, StepDown: func(context.Context) error { return answer },
	}))
	defer grouped.Close()
	if status, body := get(t, grouped.URL+"/api/v1/cluster/step-down"); status != http.StatusNoContent {
		t.Errorf("a master: %d %q", status, body)
	}
	answer = errors.New("nobody else is there")
	if status, body := get(t, grouped.URL+"/api/v1/cluster/step-down"); status != http.StatusConflict || !strings.Contains(body, "nobody else is there") {
		t.Errorf("the last one: %d %q", status, body)
	}
}

func TestTheGroupIsDescribedByEachNodeItself(t *testing.T) {
	s := loadSpec(t)
	since, lease := time.Now(), 2.5
	api := New(Options{
		Broker: func() *broker.Broker { return nil },
		Master: func() (string, bool) { return "", true },
		Cluster: func() ClusterStatus {
			return ClusterStatus{
				Mode: "shared", Node: "b", Role: "standby", Master: "a", Epoch: 3, Since: &since, Failovers: 1, Lease: &lease,
				Standby: "proxy", Console: "a:1", Client: map[string]string{"stomp": "a:2"},
			}
		},
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/api/v1/cluster", nil)
	r.RemoteAddr = "127.0.0.1:1"
	api.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, p := range s.check("Cluster", w.Body.Bytes()) {
		t.Error(p)
	}
}

func TestNodesJoinAndLeave(t *testing.T) {
	b, err := broker.Open(broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	var did string
	var answer error
	s := httptest.NewServer(New(Options{
		Broker: func() *broker.Broker { return b },
		ChangeMember: func(_ context.Context, node string, add bool) error {
			did = map[bool]string{true: "add ", false: "remove "}[add] + node
			return answer
		},
	}))
	defer s.Close()
	do := func(method, path, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a.StatusCode
	}
	if got := do("POST", "/api/v1/cluster/members", `{"node":"d"}`); got != http.StatusNoContent || did != "add d" {
		t.Errorf("%d %q", got, did)
	}
	if got := do("DELETE", "/api/v1/cluster/members/c", ""); got != http.StatusNoContent || did != "remove c" {
		t.Errorf("%d %q", got, did)
	}
	if got := do("POST", "/api/v1/cluster/members", `{}`); got != http.StatusBadRequest {
		t.Errorf("without a name: %d", got)
	}
	answer = errors.New("no")
	if got := do("DELETE", "/api/v1/cluster/members/c", ""); got != http.StatusConflict {
		t.Errorf("refused: %d", got)
	}
}

// A standby answers it itself, broker or not: there is no master to pass it on to.
func TestAMasterIsForced(t *testing.T) {
	var did string
	var answer error
	s := httptest.NewServer(New(Options{
		Broker: func() *broker.Broker { return nil }, Master: func() (string, bool) { return "", true },
		ForceLeader: func(_ context.Context, node string) error {
			did += node
			return answer
		},
	}))
	defer s.Close()
	alone := httptest.NewServer(New(Options{Broker: func() *broker.Broker { return nil }}))
	defer alone.Close()
	force := func(url, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/cluster/force-leader", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a.StatusCode
	}
	if got := force(s.URL, `{"node":"c","acceptLoss":true}`); got != http.StatusNoContent || did != "c" {
		t.Errorf("%d %q", got, did)
	}
	for _, body := range []string{`{"node":"c"}`, `{"node":"c","acceptLoss":false}`, `{"acceptLoss":true}`} {
		if got := force(s.URL, body); got != http.StatusBadRequest || did != "c" {
			t.Errorf("%s: %d %q", body, got, did)
		}
	}
	answer = errors.New("there is a master")
	if got := force(s.URL, `{"node":"c","acceptLoss":true}`); got != http.StatusConflict {
		t.Errorf("refused: %d", got)
	}
	if got := force(alone.URL, `{"node":"c","acceptLoss":true}`); got != http.StatusConflict {
		t.Errorf("alone: %d", got)
	}
}

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

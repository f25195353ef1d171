package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// at returns an API server that isn't the master; where is the master's address.
func standbyAPI(t *testing.T, where func() string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(New(Options{StartedAt: time.Now(), Master: func() (string, bool) { return where(), true }}))
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

func TestAStandbyPassesRequestsOnToTheMaster(t *testing.T) {
	master := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization")+" "+string(body))
	}))
	defer master.Close()
	s := standbyAPI(t, func() string { return master.Listener.Addr().String() })
	status, body := get(t, s.URL+"/api/v1/queues?sort=name", "Authorization", "Basic YTpi")
	if want := `POST /api/v1/queues?sort=name Basic YTpi {"a":1}`; status != http.StatusTeapot || body != want {
		t.Errorf("got %d %q, want %q", status, body, want)
	}
	if status, body = get(t, s.URL+"/api/v1/queues", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("another site's page got %d %q", status, body)
	}
}

func TestNodesThatDisagreeDoNotPassARequestBackAndForth(t *testing.T) {
	var a, b *httptest.Server
	a = standbyAPI(t, func() string { return b.Listener.Addr().String() })
	b = standbyAPI(t, func() string { return a.Listener.Addr().String() })
	if status, body := get(t, a.URL+"/api/v1/queues"); status != http.StatusServiceUnavailable || !strings.Contains(body, "this node isn't the master") {
		t.Errorf("got %d %q", status, body)
	}
	b.Close()
	if status, body := get(t, a.URL+"/api/v1/queues"); status != http.StatusServiceUnavailable || !strings.Contains(body, "was not reached") {
		t.Errorf("a master that is gone: %d %q", status, body)
	}
}

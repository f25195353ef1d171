package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/entrepot-mq/entrepot/core/broker"
	"github.com/entrepot-mq/entrepot/core/message"
	"github.com/entrepot-mq/entrepot/core/security"
)

// Options say what the API serves.
type Options struct {
	// Broker returns the broker, nil while it isn't open.
	Broker     func() *broker.Broker
	Converters message.Converters
	Version    string
	StartedAt  time.Time
	// Listeners are where clients connect: name and address.
	Listeners func() map[string]string
	// Master returns the address of the master's console; standby is false on
	// the master itself. nil is a broker without a group.
	Master func() (address string, standby bool)
	// Cluster returns what there is to say about the group; nil without one.
	Cluster func() ClusterStatus
	// StepDown makes the master let another node be it.
	StepDown func(ctx context.Context) error
	// ForceLeader makes this node, which has to be node, the master of a replicated group that
	// can't elect one; nil where there is none.
	ForceLeader func(ctx context.Context, node string) error
	// ChangeMember adds a node to a replicated group, or removes one.
	ChangeMember func(ctx context.Context, node string, add bool) error
	Logger       *slog.Logger
	Audit        *security.Audit // of what changes something
	// Security decides who asks. Without it this machine is trusted and
	// others are refused.
	Security *security.Security
	// Roles are the roles of groups; a user has the highest of their groups'.
	Roles map[string]Role
}

// API is the handler. It is safe for concurrent use.
type API struct {
	o    Options
	mux  *http.ServeMux
	site *http.CrossOriginProtection
	live rates
}

// New returns the handler of /api/, /admin/ and /metrics/detailed.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{o: o, mux: http.NewServeMux(), site: http.NewCrossOriginProtection()}
	for _, r := range routes {
		a.mux.Handle(r.Method+" "+r.Pattern, a.serve(r))
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, &problem{status: http.StatusNotFound, detail: "there is nothing at " + r.URL.Path + "; /api/v1/openapi.yaml lists what there is"})
	})
	return a
}

// Bounds of a request.
const (
	maxJSON       = 1 << 20          // bytes of a body that isn't a message
	answerTimeout = 30 * time.Second // to write an answer that isn't a stream
)

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	a.mux.ServeHTTP(w, r)
}

// call is a request that was let in.
type call struct {
	*API
	w   http.ResponseWriter
	r   *http.Request
	b   *broker.Broker
	who *caller
}

// serve wraps a route: who asks, may they, is the broker there.
func (a *API) serve(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{API: a, w: w, r: r}
		done, err := c.admit(&route)
		if done {
			return
		}
		if err == nil {
			r.Body = http.MaxBytesReader(w, r.Body, route.bodyLimit())
			err = route.handle(c)
		}
		if route.writes() {
			a.record(c, &route, err)
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

// admit decides whether the request is answered here. done says that another
// node has answered it.
func (c *call) admit(route *Route) (done bool, err error) {
	asked := c.r
	if route.writes() && asked.Method == http.MethodGet { // which counts as harmless otherwise
		asked = asked.WithContext(asked.Context())
		asked.Method = http.MethodPost
	}
	if err := c.site.Check(asked); err != nil {
		return false, &problem{status: http.StatusForbidden, detail: "the request comes from another site's page"}
	}
	if c.o.Security == nil { // who trusts this machine must not make another node trust it for others
		if c.who, err = c.identify(c.r); err != nil {
			return false, err
		}
	}
	if !route.early {
		if done, err := c.forward(); done || err != nil {
			return err == nil, err
		}
	}
	if c.who == nil {
		if c.who, err = c.identify(c.r); err != nil {
			return false, err
		}
	}
	if err := c.allow(route); err != nil {
		return false, err
	}
	if c.b = c.o.Broker(); c.b == nil && !route.early {
		return false, &problem{status: http.StatusServiceUnavailable, detail: "the broker is starting"}
	}
	return false, nil
}

// record keeps what was changed, or should have been.
func (a *API) record(c *call, route *Route, err error) {
	who, how := "anonymous", "none"
	if c.who != nil {
		who, how = c.who.name, c.who.how
	}
	a.o.Audit.Record(c.r.Context(), security.Event{
		Who: who, How: how, Remote: c.r.RemoteAddr, Action: route.Name, Target: c.r.URL.Path, Err: err,
	})
}

// json answers with v.
func (c *call) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(b, '\n')) // the client may be gone
	return nil
}

func (c *call) none() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// read decodes the body into v, strictly. An empty body leaves v as it is.
func (c *call) read(v any) error {
	d := json.NewDecoder(c.r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		return invalid("the body holds more than one JSON value")
	}
	switch {
	case err == nil, strings.HasSuffix(err.Error(), "EOF") && c.r.ContentLength == 0:
		return nil
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLong
	}
	return invalid("the body is not the JSON that is wanted: %v", err)
}

// flusher returns what sends the beginning of a long answer, whose deadline
// moves with each piece.
func (c *call) flusher() func() error {
	control := http.NewResponseController(c.w)
	return func() error {
		if err := control.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		return control.Flush()
	}
}

package main

import (
	"sync"

	"github.com/entrepot-mq/entrepot/protocols"
)

// lateFrontends are the frontends of listeners that are open before there is a
// broker.
type lateFrontends struct {
	all map[string]protocols.Frontend // stand-ins

	mu  sync.Mutex
	now map[string]protocols.Frontend
}

func newLateFrontends(like map[string]protocols.Frontend) *lateFrontends {
	f := &lateFrontends{all: make(map[string]protocols.Frontend), now: like}
	for name := range like {
		f.all[name] = &lateFrontend{name, f}
	}
	return f
}

func (f *lateFrontends) set(now map[string]protocols.Frontend) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

func (f *lateFrontends) get(name string) protocols.Frontend {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now[name]
}

type lateFrontend struct {
	name string
	of   *lateFrontends
}

func (f *lateFrontend) Name() string            { return f.of.get(f.name).Name() }
func (f *lateFrontend) Options() []string       { return f.of.get(f.name).Options() }
func (f *lateFrontend) Serve(c *protocols.Conn) { f.of.get(f.name).Serve(c) }

// CheckOptions implements protocols.OptionChecker.
func (f *lateFrontend) CheckOptions(v protocols.Values) error {
	if c, ok := f.of.get(f.name).(protocols.OptionChecker); ok {
		return c.CheckOptions(v)
	}
	return nil
}

// Redirect implements protocols.Redirector; a protocol that can't redirect just
// ends.
func (f *lateFrontend) Redirect(c *protocols.Conn, address string) {
	if r, ok := f.of.get(f.name).(protocols.Redirector); ok {
		r.Redirect(c, address)
		return
	}
	c.Goodbye()
}

package security

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// keySet is where the keys of tokens come from: a file, read at start and at
// reloads, or an address, read when it is needed.
type keySet struct {
	source string // file or https URL
	remote bool
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	fetching sync.Mutex // held by the one that reads
	mu       sync.Mutex
	keys     []tokenKey
	fetched  time.Time // when keys were read
	tried    time.Time // when that was tried last
}

const (
	keysFor    = 10 * time.Minute // fetched keys are looked up again after that
	keysPause  = 30 * time.Second // between two tries: tokens with made-up key ids are cheap
	fetchLimit = 10 * time.Second
)

// newKeySet checks source, and reads it if it is a file.
func newKeySet(source string, now func() time.Time, log *slog.Logger) (*keySet, error) {
	k := &keySet{source: source, now: now, log: log, remote: strings.Contains(source, "://")}
	if !k.remote {
		return k, k.readFile()
	}
	u, err := url.Parse(source)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("%q is not an address", source)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("%q: keys are fetched with https only, or from this machine", source)
	case u.User != nil:
		return nil, errors.New("the address of the keys has a user in it")
	}
	k.client = &http.Client{
		Timeout: fetchLimit,
		// The operator named one place; what it names is not asked.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return k, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.IsLoopback()
}

func (k *keySet) readFile() error {
	text, err := readLimited(k.source, maxKeySet)
	if err != nil {
		return err
	}
	keys, err := parseKeySet([]byte(text), true)
	if err != nil {
		return fmt.Errorf("%s: %w", k.source, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	return nil
}

// readLimited reads a whole file of at most limit bytes.
func readLimited(name string, limit int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return "", err
	}
	if int64(len(b)) > limit {
		return "", fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return string(b), nil
}

// find returns the keys that a token with that key id and method may be signed
// with. Without an id that is every key for the method.
func (k *keySet) find(ctx context.Context, id, method string) ([]any, error) {
	found, due := k.lookUp(id, method)
	if due {
		if err := k.refresh(ctx); err != nil && len(found) == 0 {
			return nil, err
		}
		found, _ = k.lookUp(id, method)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no key for kid %.64q and alg %.16q", id, method)
	}
	return found, nil
}

// lookUp returns what is known; due says that fetching might find more.
func (k *keySet) lookUp(id, method string) (found []any, due bool) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.keys {
		if key := &k.keys[i]; (id == "" || key.id == id) && slices.Contains(key.methods, method) {
			found = append(found, key.key)
		}
	}
	stale := len(found) == 0 || now.Sub(k.fetched) > keysFor
	return found, k.remote && stale && (k.tried.IsZero() || now.Sub(k.tried) > keysPause)
}

// refresh fetches the keys, if nobody else has done so meanwhile. The old ones
// stay in force if that fails.
func (k *keySet) refresh(ctx context.Context) error {
	k.fetching.Lock()
	defer k.fetching.Unlock()
	k.mu.Lock()
	now := k.now()
	if !k.tried.IsZero() && now.Sub(k.tried) <= keysPause {
		k.mu.Unlock()
		return nil
	}
	k.tried = now
	k.mu.Unlock()
	keys, err := k.fetch(ctx)
	if err != nil {
		k.log.Warn("the keys of tokens could not be fetched", "source", k.source, "error", err)
		return fmt.Errorf("%w: the keys of tokens could not be fetched", ErrBusy)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.fetched = keys, k.now()
	return nil
}

func (k *keySet) fetch(ctx context.Context) (keys []tokenKey, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.source, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	return parseKeySet(text, false)
}

package security

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// credentials checks passwords: a few at a time, and the same one only once
// in a while.
type credentials struct {
	key   [32]byte      // random, so that what the cache holds is of no use elsewhere
	slots chan struct{} // one for each hash that may be computed now
	wrong chan struct{} // one for each wrong SCRAM proof that may be answered now
	now   func() time.Time
	ttl   time.Duration
	most  int // proofs that are remembered

	mu    sync.Mutex
	known map[proof]time.Time // until when
}

// proof stands for a name, a password and the hash that it was right for. So
// an entry is worth nothing once the user's password was changed.
type proof [sha256.Size]byte

const (
	cachedProofs = 10_000
	cachedFor    = 10 * time.Minute
)

func newCredentials(parallel int, now func() time.Time) *credentials {
	c := &credentials{
		slots: make(chan struct{}, parallel), wrong: make(chan struct{}, maxWrongProofs), now: now, ttl: cachedFor, most: cachedProofs, known: make(map[proof]time.Time),
	}
	_, _ = rand.Read(c.key[:]) // never fails since Go 1.24
	return c
}

// proof returns a keyed digest of fields, which can't run into each other.
func (c *credentials) proof(fields ...string) (p proof) {
	mac := hmac.New(sha256.New, c.key[:])
	var n [8]byte
	for _, f := range fields {
		binary.BigEndian.PutUint64(n[:], uint64(len(f)))
		mac.Write(n[:])
		mac.Write([]byte(f))
	}
	mac.Sum(p[:0])
	return p
}

// decoy returns the hash that is computed for a name that nobody has: that of
// some user, always the same for one name, so that neither a first nor a
// repeated try takes a time of its own.
func (c *credentials) decoy(u *Users, name string) *hash {
	if len(u.real) == 0 {
		return &decoyHash
	}
	p := c.proof("decoy", name)
	i := binary.BigEndian.Uint64(p[:8]) % uint64(len(u.real))
	return &u.lines[u.real[i]].user.hash
}

// decoyHash is computed for when there are no users. It is no password's.
var decoyHash = hash{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, argonSalt), key: make([]byte, argonKey)}

// check reports whether password is name's. It waits for its turn until ctx
// ends.
func (c *credentials) check(ctx context.Context, u *Users, name, password string) (*User, error) {
	user := u.Find(name)
	h := c.decoy(u, name)
	if user != nil && !user.hash.none {
		h = &user.hash
	} else {
		user = nil
	}
	p := c.proof(name, password, h.text)
	if user != nil && c.remembers(p) {
		return user, nil
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrBusy
	}
	defer func() { <-c.slots }()
	// Many connections of one client: the first has done the work meanwhile.
	if user != nil && c.remembers(p) {
		return user, nil
	}
	if right := h.matches(password); !right || user == nil {
		return nil, errWrong
	}
	c.remember(p)
	return user, nil
}

func (c *credentials) remembers(p proof) bool {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.known[p]
	if ok && now.After(until) {
		delete(c.known, p)
		return false
	}
	return ok
}

func (c *credentials) remember(p proof) {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= c.most {
		c.makeRoom(now)
	}
	c.known[p] = now.Add(c.ttl)
}

// makeRoom removes what has ended, and something else if that is nothing.
func (c *credentials) makeRoom(now time.Time) {
	for p, until := range c.known {
		if now.After(until) {
			delete(c.known, p)
		}
	}
	for p := range c.known {
		if len(c.known) < c.most {
			return
		}
		delete(c.known, p)
	}
}

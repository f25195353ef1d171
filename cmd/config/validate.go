package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Validate reports what makes the settings unusable, in one error that joins
// a [*SettingError] for each.
func (c *Config) Validate() error { return c.validate(&Loaded{}) }

// validator collects problems. Keys are named as in the file.
type validator struct {
	from     *Loaded // where the values came from
	problems []error
}

func (v *validator) fail(key, message, hint string) {
	v.problems = append(v.problems, &SettingError{Where: v.from.Origin(key), Key: key, Message: message, Hint: hint})
}

func (v *validator) size(key string, value, least, most Size) {
	if value < least || value > most {
		v.fail(key, fmt.Sprintf("%s is out of range", value), fmt.Sprintf("give %s to %s", least, most))
	}
}

func (v *validator) duration(key string, value, least, most time.Duration) {
	if value < least || value > most {
		v.fail(key, fmt.Sprintf("%s is out of range", value), fmt.Sprintf("give %s to %s", least, most))
	}
}

func (v *validator) number(key string, value, least, most int) {
	if value < least || value > most {
		v.fail(key, fmt.Sprintf("%d is out of range", value), fmt.Sprintf("give %d to %d", least, most))
	}
}

func (c *Config) validate(from *Loaded) error {
	v := &validator{from: from}
	v.name(c.BrokerName)
	if c.DataDir == "" {
		v.fail("dataDir", "is empty", "name the directory of the store")
	}
	if len(c.Listeners) == 0 {
		v.fail("listeners", "is empty: no client could connect", "give a URI such as stomp://127.0.0.1:61613")
	}
	v.console(c)
	v.store(&c.Store)
	v.size("limits.maxMessage", c.Limits.MaxMessage, KiB, 256*MiB)
	v.number("limits.connections", c.Limits.Connections, 1, 1_000_000)
	v.number("limits.connectionsPerAddress", c.Limits.ConnectionsPerAddress, 0, 1_000_000)
	v.duration("limits.handshakeTimeout", c.Limits.HandshakeTimeout, 100*time.Millisecond, 5*time.Minute)
	if c.Memory.Limit != 0 {
		v.size("memory.limit", c.Memory.Limit, 32*MiB, TiB)
	}
	v.schedule(&c.Schedule)
	v.sessions(&c.Sessions, &c.Retained)
	v.cluster(c)
	v.duration("shutdown.timeout", c.Shutdown.Timeout, 0, time.Hour)
	v.security(&c.Security)
	v.policies(c.Policies)
	v.interceptors(&c.Interceptors)
	v.destinations(c)
	return errors.Join(v.problems...)
}

func (v *validator) name(name string) {
	const longest = 128
	if name == "" || len(name) > longest {
		v.fail("brokerName", fmt.Sprintf("%q has %d characters", clip(name), len(name)), fmt.Sprintf("give 1 to %d", longest))
		return
	}
	for _, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' || r == ':'
		if !ok {
			v.fail("brokerName", fmt.Sprintf("%q holds %q", name, r), "use letters, digits and - _ . :")
			return
		}
	}
}

func (v *validator) console(c *Config) {
	const key = "console.address"
	address := c.Console.Address
	if address == "none" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		v.fail(key, fmt.Sprintf("%q is not an address", address), "write host:port, such as 127.0.0.1:8161, or none")
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.fail(key, fmt.Sprintf("%q is not a port", port), "give 0 to 65535; 0 takes a free one")
	}
	if !isLoopback(host) && !c.Security.AllowRemote {
		v.fail(key, fmt.Sprintf("%q can be reached from other machines, and the console asks nobody for a password", address),
			"bind 127.0.0.1, or set security.allowRemote: true in a network where everybody is trusted")
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (v *validator) store(s *Store) {
	v.duration("store.syncInterval", s.SyncInterval, time.Millisecond, time.Minute)
	v.size("store.segmentSize", s.SegmentSize, 2*MiB, 4*GiB)
	if whole := s.SegmentSize / (4 * KiB) * (4 * KiB); whole > 0 && whole != s.SegmentSize {
		v.fail("store.segmentSize", fmt.Sprintf("%s is no multiple of 4KiB", s.SegmentSize), fmt.Sprintf("give %s", whole))
	}
	v.duration("store.checkpointInterval", s.CheckpointInterval, 10*time.Millisecond, time.Hour)
	v.size("store.checkpointBytes", s.CheckpointBytes, 64*KiB, 64*GiB)
	v.size("store.memory", s.Memory, MiB, TiB)
	v.size("store.scratch", s.Scratch, MiB, 1024*TiB)
	v.duration("store.expireInterval", s.ExpireInterval, 10*time.Millisecond, 24*time.Hour)
	v.duration("store.blockedWarning", s.BlockedWarning, 10*time.Millisecond, 24*time.Hour)
}

func (v *validator) security(s *Security) {
	if s.Permissions != "" && !s.Authenticates() {
		v.fail("security.permissions", "says what users may do, and nobody has to log in",
			"name a users file (security.users), client certificates (security.certificateUser) or tokens (security.jwt.keys)")
	}
	if s.PopulateUserID && !s.Authenticates() {
		v.fail("security.populateUserId", "asks for the user's name, and nobody has to log in", "name a users file (security.users)")
	}
	if s.JWT.Keys != "" && s.JWT.Audience == "" {
		v.fail("security.jwt.audience", "is empty: tokens made for any other service would be taken", "give the name that the issuer has for this broker")
	}
	if s.JWT.Keys == "" && (s.JWT.Audience != "" || s.JWT.Issuer != "") {
		v.fail("security.jwt.keys", "is empty, so no token is taken", "name the JWKS with the issuer's keys")
	}
}

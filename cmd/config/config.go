package config

import (
	"time"
)

// Config is every setting of a broker. The zero value is not usable: start
// from [Default].
type Config struct {
	BrokerName   string              `key:"brokerName" doc:"the broker's name, in logs, metrics and message ids"`
	DataDir      string              `key:"dataDir" doc:"directory of the store; one broker at a time uses it"`
	Listeners    []string            `key:"listeners" doc:"listener URIs, such as stomp://127.0.0.1:61613?maximumConnections=1000"`
	Console      Console             `key:"console"`
	Log          Log                 `key:"log"`
	Store        Store               `key:"store"`
	Limits       Limits              `key:"limits"`
	Memory       Memory              `key:"memory"`
	Security     Security            `key:"security"`
	Stomp        Stomp               `key:"stomp"`
	Schedule     Schedule            `key:"schedule"`
	Sessions     Sessions            `key:"sessions"`
	Retained     Retained            `key:"retained"`
	Cluster      Cluster             `key:"cluster"`
	Shutdown     Shutdown            `key:"shutdown"`
	Advisories   bool                `key:"advisorySupport" doc:"events are told on topics ActiveMQ.Advisory.*"`
	Destinations []string            `key:"destinations" doc:"queues and topics that exist from the start and are not collected, such as queue://orders and topic://news"`
	PurgePeriod  time.Duration       `key:"schedulePeriodForDestinationPurge" doc:"how often idle queues are looked for, where a policy has gcInactiveDestinations"`
	MaxPurged    int                 `key:"maxPurgedDestinationsPerSweep" doc:"idle queues that go at a time; 0 for no limit"`
	Interceptors Interceptors        `key:"destinationInterceptors"`
	Policies     []DestinationPolicy `key:"destinationPolicy" doc:"what holds for which destinations; of several entries for one, the most specific that has a setting decides it"`
}

// Console is the HTTP server for health, metrics and the web console.
type Console struct {
	Address   string `key:"address" doc:"host:port of health, metrics, API and console; none switches it off"`
	Readers   string `key:"readers" doc:"group of users who may see everything in API and console"`
	Operators string `key:"operators" doc:"group of users who may also work with messages, pause queues and close connections"`
	Admins    string `key:"admins" doc:"group of users who may also make and delete destinations"`
}

// Log is how the broker logs.
type Log struct {
	Level  string `key:"level" oneof:"debug info warn error" doc:"least severity that is logged (SIGHUP reloads it)"`
	Format string `key:"format" oneof:"auto text json" doc:"auto is text on a terminal and JSON otherwise"`
}

// Store is how durable messages are kept.
type Store struct {
	Sync               string        `key:"sync" oneof:"always interval never" doc:"when a durable message counts as safe: after fdatasync, or written and synced each syncInterval, or written"`
	SyncInterval       time.Duration `key:"syncInterval" doc:"longest time without a sync in mode interval"`
	SegmentSize        Size          `key:"segmentSize" doc:"size of one log segment; segments are preallocated"`
	CheckpointInterval time.Duration `key:"checkpointInterval" doc:"longest time between two checkpoints while the state changes"`
	CheckpointBytes    Size          `key:"checkpointBytes" doc:"log written since the last checkpoint that starts the next one"`
	Memory             Size          `key:"memory" doc:"memory for waiting messages; beyond it durable ones stay on disk only and producers are slowed down"`
	Scratch            Size          `key:"scratch" doc:"disk space for non-persistent messages that wait when memory is tight; what it has no room for stays in memory"`
	ExpireInterval     time.Duration `key:"expireInterval" doc:"how often messages are looked for that have expired where no consumer asks for them"`
	BlockedWarning     time.Duration `key:"blockedWarning" doc:"time that a producer waits before the log says so"`
}

// Limits bound what clients can ask for.
type Limits struct {
	MaxMessage            Size          `key:"maxMessage" doc:"largest message that is taken"`
	Connections           int           `key:"connections" doc:"connections of one listener, where its URI has no maximumConnections"`
	ConnectionsPerAddress int           `key:"connectionsPerAddress" doc:"connections of one source address that have not authenticated yet; 0 allows another machine 100 and this one any number"`
	HandshakeTimeout      time.Duration `key:"handshakeTimeout" doc:"time for a client to log in, where its listener's URI has no transport.connectAttemptTimeout"`
}

// Memory is the process's.
type Memory struct {
	Limit Size `key:"limit" doc:"memory that the Go runtime aims to stay under; 0: twice store.memory and 64MiB, more if more is needed, at most 80 % of the container's limit"`
}

// Security says who is served. Without users, certificateUser and jwt.keys
// nobody has to authenticate, and only this machine is served.
type Security struct {
	AllowRemote     bool   `key:"allowRemote" doc:"serve other machines although no user has to authenticate: only in a network where everybody is trusted"`
	Users           string `key:"users" doc:"file of users and password hashes, made with entrepot user; with it, who has no user is not served (SIGHUP reloads it)"`
	Permissions     string `key:"permissions" doc:"file that says who may read, write, create and administrate what; with it, what it does not grant is denied (SIGHUP reloads it)"`
	CertificateUser string `key:"certificateUser" oneof:"none cn dns email uri" doc:"what of a verified client certificate is the user name: the common name, or the alternative name of that type"`
	PopulateUserID  bool   `key:"populateUserId" doc:"put the authenticated user's name into each message, as JMSXUserID (ActiveMQ: populateJMSXUserID)"`
	AuditLog        string `key:"auditLog" doc:"file that gets a JSON line for whatever administrators do, beside the log"`
	JWT             JWT    `key:"jwt"`
}

// JWT says which tokens log clients in, given as their password.
type JWT struct {
	Keys        string `key:"keys" doc:"JWKS with the keys that tokens are signed with: a file (SIGHUP reloads it) or an https address"`
	Issuer      string `key:"issuer" doc:"what the claim iss must be; empty allows any"`
	Audience    string `key:"audience" doc:"what the claim aud must hold: this broker's name for the one who makes the tokens"`
	NameClaim   string `key:"nameClaim" doc:"claim that is the user name"`
	GroupsClaim string `key:"groupsClaim" doc:"claim that lists the user's groups"`
}

// Authenticates reports whether clients have to say who they are.
func (s *Security) Authenticates() bool {
	return s.Users != "" || s.JWT.Keys != "" || s.CertificateUser != "none"
}

// Stomp holds defaults for STOMP listeners; a listener URI's own options win.
type Stomp struct {
	Nack string `key:"nack" oneof:"dead-letter requeue redeliver" doc:"what NACK does to a message"`
}

// Shutdown is how the broker ends.
type Shutdown struct {
	Timeout time.Duration `key:"timeout" doc:"time that SIGTERM gives to what is in flight"`
}

// Default returns the settings of a broker that was told nothing.
func Default() Config {
	return Config{
		BrokerName: "localhost",
		DataDir:    "data",
		Listeners:  []string{"tcp://127.0.0.1:61616", "amqp://127.0.0.1:5672", "stomp://127.0.0.1:61613", "mqtt://127.0.0.1:1883", "ws://127.0.0.1:61614"},
		Console:    Console{Address: "127.0.0.1:8161", Readers: "readers", Operators: "operators", Admins: "admins"},
		Log:        Log{Level: "info", Format: "auto"},
		Store: Store{
			Sync:               "always",
			SyncInterval:       50 * time.Millisecond,
			SegmentSize:        64 * MiB,
			CheckpointInterval: 10 * time.Second,
			CheckpointBytes:    32 * MiB,
			Memory:             96 * MiB,
			Scratch:            10 * GiB,
			ExpireInterval:     30 * time.Second,
			BlockedWarning:     5 * time.Second,
		},
		Limits: Limits{
			MaxMessage:       100 * MiB,
			Connections:      10_000,
			HandshakeTimeout: 10 * time.Second,
		},
		Security:     Security{CertificateUser: "none", JWT: JWT{NameClaim: "sub", GroupsClaim: "groups"}},
		Stomp:        Stomp{Nack: "dead-letter"},
		Schedule:     defaultSchedule(),
		Sessions:     defaultSessions(),
		Retained:     Retained{Messages: 100_000, Bytes: 64 * MiB},
		Advisories:   true,
		Interceptors: defaultInterceptors(),
		PurgePeriod:  10 * time.Second,
		Cluster:      defaultCluster(),
		Shutdown:     Shutdown{Timeout: 25 * time.Second},
	}
}

package config

// Sessions bound what is stored for MQTT clients between their connections.
type Sessions struct {
	Max              int  `key:"max" doc:"stored sessions"`
	MaxMessages      int  `key:"maxMessages" doc:"messages that may wait for one session; beyond it the oldest go"`
	MaxBytes         Size `key:"maxBytes" doc:"bytes of messages that may wait for one session; beyond it the oldest go"`
	MaxSubscriptions int  `key:"maxSubscriptions" doc:"subscriptions of one stored session"`
}

// Retained bounds what topics remember.
type Retained struct {
	Messages int  `key:"messages" doc:"topics that may remember a message"`
	Bytes    Size `key:"bytes" doc:"memory for what topics remember"`
}

func defaultSessions() Sessions {
	return Sessions{Max: 1_000_000, MaxMessages: 100_000, MaxBytes: 256 << 20, MaxSubscriptions: 10_000}
}

func (v *validator) sessions(s *Sessions, r *Retained) {
	v.number("sessions.max", s.Max, 1, 1<<31-1)
	v.number("sessions.maxMessages", s.MaxMessages, 1, 1<<31-1)
	v.size("sessions.maxBytes", s.MaxBytes, KiB, TiB)
	v.number("sessions.maxSubscriptions", s.MaxSubscriptions, 1, 1<<31-1)
	v.number("retained.messages", r.Messages, 1, 1<<31-1)
}

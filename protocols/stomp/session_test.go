package stomp

import (
	"strings"
	"testing"
)

func TestConnectAnswersWithVersionSessionAndHeartBeat(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		name    string
		headers []string
		want    []string
	}{
		{
			"without accept-version it is 1.0",
			[]string{"client-id:a"},
			[]string{"version:1.0", "session:a", "server:Entrepot/test", "heart-beat:0,0"},
		},
		{
			"the highest version counts",
			[]string{"accept-version:1.0,1.1,1.2", "client-id:b"},
			[]string{"version:1.2", "session:b", "server:Entrepot/test", "heart-beat:0,0"},
		},
		{
			"unknown versions are passed over",
			[]string{"accept-version:1.1, 2.0", "client-id:c"},
			[]string{"version:1.1", "session:c", "server:Entrepot/test", "heart-beat:0,0"},
		},
		{
			"heart-beats are swapped",
			[]string{"accept-version:1.2", "client-id:d", "heart-beat:5000,7000"},
			[]string{"version:1.2", "session:d", "server:Entrepot/test", "heart-beat:7000,5000"},
		},
		{
			"too short heart-beats are raised",
			[]string{"accept-version:1.2", "client-id:e", "heart-beat:1,1"},
			[]string{"version:1.2", "session:e", "server:Entrepot/test", "heart-beat:100,100"},
		},
		{
			"request-id is answered",
			[]string{"accept-version:1.2", "client-id:f", "request-id:7"},
			[]string{"version:1.2", "session:f", "server:Entrepot/test", "heart-beat:0,0", "response-id:7", "receipt-id:7"},
		},
	} {
		c := r.dial()
		c.send("CONNECT", tt.headers...)
		f := c.read()
		if f.command != "CONNECTED" || strings.Join(f.headers, "|") != strings.Join(tt.want, "|") {
			t.Errorf("%s: got %v, want %v", tt.name, f, tt.want)
		}
	}
}

func TestConnectIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.connect(v12, "client-id:taken")
	for _, tt := range []struct{ name, in, want string }{
		{"no common version", "CONNECT\naccept-version:2.0,3.0\n\n\x00", "none of the versions in accept-version is supported: 2.0,3.0"},
		{"bad heart-beat", "CONNECT\nheart-beat:a,b\n\n\x00", `header heart-beat is not two numbers: "a,b"`},
		{"negative heart-beat", "CONNECT\nheart-beat:-1,0\n\n\x00", `header heart-beat is not two numbers: "-1,0"`},
		{"another command first", "SEND\ndestination:/queue/a\n\n\x00", "SEND before CONNECT"},
		{"an unknown command first", "GET / HTTP/1.1\nHost: a\n\n\x00", "unknown command before CONNECT"},
		{"too large before CONNECT", "CONNECT\n" + strings.Repeat("k:"+strings.Repeat("x", 1000)+"\n", 9), "frame is longer than 8192 bytes"},
		{"malformed", "CONNECT\nx\n\n\x00", "header line 1 has no colon"},
	} {
		c := r.dial()
		c.v = v10
		c.raw(tt.in)
		f := c.error(tt.want)
		if f.get("content-type") != "text/plain" || !strings.HasPrefix(f.body, tt.want+"\n") {
			t.Errorf("%s: body has no advice: %v", tt.name, f)
		}
		if strings.Contains(tt.name, "version") && f.get("version") != "1.0,1.1,1.2" {
			t.Errorf("%s: versions are not listed: %v", tt.name, f)
		}
		c.closed()
	}
}

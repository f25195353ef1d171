//go:build suites

package suites

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var stompJS = suite{
	name: "stompjs 7.1.1", origin: "https://github.com/stomp-js/stompjs", variable: "STOMPJS_SUITE",
	commit: "4eaed27648a85e4ac7464de5b06ce75856ce46c3",
}

// stompJSPassed is how jasmine ends: every spec passed, none was left out.
const stompJSPassed = "\n119 specs, 0 failures\n"

// TestStompJSSuite runs every spec of @stomp/stompjs in Node, over WebSocket.
func TestStompJSSuite(t *testing.T) {
	modules := t.TempDir()
	node, err := harness.Node(t.Context(), "js", modules)
	if err != nil {
		t.Fatal(err)
	}
	dir := stompJS.checkout(t)
	// A NACK gives the message back, as the suite's authors know it from RabbitMQ.
	b := start(t, harness.Options{
		Listen:   []string{"ws://127.0.0.1:0?stomp.nack=requeue"},
		Settings: []string{"security.users=" + users(t, "guest:guest")},
	})

	// Its own packages would bring browsers and linters along.
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "spec", "config", "node-config.js")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, regexp.MustCompile(`\burl: '[^']*'`).ReplaceAll(text, []byte("url: 'ws://"+b.Addr("ws")+"/stomp'")))

	cmd := exec.CommandContext(t.Context(), node, filepath.Join("node_modules", "jasmine", "bin", "jasmine.js"), "--no-color")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), stompJSPassed) {
		t.Errorf("jasmine: %v, want %q\n%s", err, stompJSPassed, out)
	}
}

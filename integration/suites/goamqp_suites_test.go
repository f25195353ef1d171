//go:build suites

package suites

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

const goAMQP = "github.com/Azure/go-amqp"

// goAMQPTests are all tests of go-amqp's integration_test.go.
var goAMQPTests = []string{
	"TestIntegrationRoundTrip", "TestIntegrationRoundTrip_Buffered", "TestIntegrationReceiverModeSecond",
	"TestIntegrationSessionHandleMax", "TestIntegrationLinkName", "TestIntegrationClose",
	"TestMultipleSessionsOpenClose", "TestDialWithCancelledContext", "TestNewSessionWithCancelledContext",
	"TestConcurrentSessionsOpenClose", "TestReceiverModeFirst", "TestSenderExactlyOnce",
	"TestReceivingLotsOfSettledMessages", "TestNewReceiverWithCancelledContext", "TestMultipleSendersSharedSession",
	"TestDrainingLink", "TestSenderNullValue",
}

// TestGoAMQPSuite runs the integration tests of Azure's go-amqp, which its
// module has at the version that go.mod names.
func TestGoAMQPSuite(t *testing.T) {
	goTool, err := harness.Tool(t.Context(), "go", "golang-go")
	if err != nil {
		t.Fatal(err)
	}
	from, err := exec.CommandContext(t.Context(), goTool, "list", "-m", "-f", "{{.Dir}}", goAMQP).Output()
	if err != nil {
		t.Fatalf("find %s: %v", goAMQP, err)
	}
	dir := filepath.Join(t.TempDir(), "go-amqp") // its tests need modules that ours doesn't
	if err := os.CopyFS(dir, os.DirFS(strings.TrimSpace(string(from)))); err != nil {
		t.Fatal(err)
	}
	b := start(t, harness.Options{Listen: []string{"amqp://127.0.0.1:0"}})
	cmd := exec.CommandContext(t.Context(), goTool, "test", "-count=1", "-v", "-run", "^("+strings.Join(goAMQPTests, "|")+")$", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AMQP_BROKER_ADDR=amqp://"+b.Addr("amqp"), "GOFLAGS=-mod=mod")
	out, err := cmd.CombinedOutput()
	passed := 0
	for _, name := range goAMQPTests {
		if strings.Contains(string(out), "\n--- PASS: "+name+" (") {
			passed++
		} else {
			t.Errorf("%s did not pass", name)
		}
	}
	t.Logf("%d of %d passed", passed, len(goAMQPTests))
	if err != nil || t.Failed() {
		t.Fatalf("go test: %v\n%s", err, out)
	}
}

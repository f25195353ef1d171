//go:build integration

package mqtt

import (
	"os"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var program harness.Program

func TestMain(m *testing.M) { os.Exit(harness.Run(m, &program)) }

func startBroker(t *testing.T, dir string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(t.Context(), harness.Options{
		Program: program, Dir: dir,
		Listen: []string{"mqtt://127.0.0.1:0", "ws://127.0.0.1:0", "stomp://127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

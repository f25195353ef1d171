package pages

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain also is the process that TestKillNine kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDirVar); dir != "" {
		os.Exit(writeUntilKilled(dir))
	}
	goleak.VerifyTestMain(m)
}

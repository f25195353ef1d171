//go:build integration

package matrix

import (
	"fmt"
	"os"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var (
	program harness.Program
	javaDir string // of compiled classes
)

func TestMain(m *testing.M) {
	var err error
	if javaDir, err = os.MkdirTemp("", "entrepot-matrix-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := harness.Run(m, &program)
	_ = os.RemoveAll(javaDir)
	os.Exit(code)
}

package cluster

import (
	"os"
	"testing"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

var program harness.Program

func TestMain(m *testing.M) { os.Exit(harness.Run(m, &program)) }

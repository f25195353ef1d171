//go:build integration

package openwire

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// A producer and a consumer with failover: go on while the broker is killed
// again and again. What was answered is there, once; nothing is skipped.
func TestFailoverClientsGoOnWhileTheBrokerIsKilled(t *testing.T) {
	const kills = 20
	for name, args := range map[string][]string{"acknowledged": nil, "transacted": {"transacted"}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			java, classPath, err := harness.Java(ctx, filepath.Join("java", "pom5.xml"), filepath.Join("java", "src"), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			o := harness.Options{Program: program, Dir: t.TempDir(), Listen: []string{"tcp://127.0.0.1:0"}}
			b, err := harness.Start(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			address := b.Addr("openwire")
			o.Listen = []string{"tcp://" + address}

			cmd := exec.CommandContext(ctx, java, append([]string{"-cp", classPath, "Failover", address}, args...)...)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "started" {
				t.Fatalf("the clients did not start: %q\n%s", lines.Text(), &complaints)
			}
			for range kills {
				acknowledged := func() float64 {
					m, err := b.Metrics(ctx)
					if err != nil {
						t.Fatal(err)
					}
					return m["entrepot_messages_acknowledged_total"]
				}
				before := acknowledged()
				err := harness.Until(ctx, time.Minute, "messages", func() bool { return acknowledged() > before+20 })
				if err != nil {
					t.Fatalf("%v\n%s", err, &complaints)
				}
				if err := b.Kill(); err != nil {
					t.Fatal(err)
				}
				if b, err = harness.Start(ctx, o); err != nil {
					t.Fatal(err)
				}
			}
			_ = in.Close() // what the program waits for
			var sent, got, doubt, again, disorder int
			if !lines.Scan() {
				t.Fatalf("the clients said nothing at their end:\n%s", &complaints)
			}
			if _, err := fmt.Sscanf(lines.Text(), "sent %d got %d doubt %d again %d disorder %d",
				&sent, &got, &doubt, &again, &disorder); err != nil {
				t.Fatalf("%q: %v", lines.Text(), err)
			}
			t.Log(lines.Text())
			// The last send may have been interrupted; of a commit whose answer was
			// lost the client can't know that it happened.
			if got+doubt < sent || got > sent+1 || again+disorder > 0 || doubt > 2*kills {
				t.Errorf("%s\n%s", lines.Text(), &complaints)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

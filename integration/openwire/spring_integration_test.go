//go:build integration

package openwire

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/entrepot-mq/entrepot/integration/harness"
)

// springChecks is how many lines the application prints.
const springChecks = 14

// redelivery keeps the application from waiting a second between attempts.
const redelivery = "?jms.redeliveryPolicy.initialRedeliveryDelay=10&jms.redeliveryPolicy.redeliveryDelay=10"

// Spring Boot 3 has ActiveMQ's client 6, and jakarta.jms.
func TestSpringBoot3Application(t *testing.T) { runSpring(t, "pom3.xml", jakarta) }

// Spring Boot 2.7 has ActiveMQ's client 5.16, and javax.jms.
func TestSpringBoot2Application(t *testing.T) { runSpring(t, "pom2.xml", nil) }

// jakarta changes a source to the names of Jakarta EE.
func jakarta(source []byte) []byte {
	return bytes.ReplaceAll(source, []byte("javax.jms"), []byte("jakarta.jms"))
}

func runSpring(t *testing.T, pom string, edit func([]byte) []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	sources := filepath.Join("spring", "src")
	if edit != nil {
		sources = edited(t, sources, edit)
	}
	java, classPath, err := harness.Java(ctx, filepath.Join("spring", pom), sources, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := harness.Start(ctx, harness.Options{Program: program, Dir: t.TempDir(), Listen: []string{"tcp://127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	checkLines(t, springChecks, exec.CommandContext(ctx, java, "-cp", classPath, "shop.Application",
		"--spring.activemq.broker-url=tcp://"+b.Addr("openwire")+redelivery))
}

// checkLines runs a program that prints a line "ok name" for each thing that
// works, and nothing else.
func checkLines(t *testing.T, want int, cmd *exec.Cmd) {
	t.Helper()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Error(err)
	}
	ok := 0
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "ok ") {
			ok++
			t.Log(line)
		} else {
			t.Error(line)
		}
	}
	if ok != want {
		t.Errorf("%d lines say ok, want %d", ok, want)
	}
	if t.Failed() {
		t.Log(complaints.String())
	}
}

package main

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

func TestJSONLogsSpellDurationsAndAddresses(t *testing.T) {
	var b bytes.Buffer
	l, err := newLogging(&b, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	l.With("took", 1500*time.Millisecond).Info("a message", "remote", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 61613}, "n", 7)
	if want := `"msg":"a message","took":"1.5s","remote":"127.0.0.1:61613","n":7}`; !strings.Contains(b.String(), want) {
		t.Errorf("%s is logged, want %s", b.String(), want)
	}
}

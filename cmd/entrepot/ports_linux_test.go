package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// listening returns the TCP ports on which a process listens, as the kernel
// tells.
func listening(t *testing.T, pid int) (ports []string) {
	t.Helper()
	sockets := map[string]bool{} // of the process, by inode
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:[") {
			sockets[strings.Trim(to[len("socket:"):], "[]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue // a machine without IPv6
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			const local, state, inode = 1, 3, 9
			fields := strings.Fields(lines.Text())
			if len(fields) <= inode || !sockets[fields[inode]] || fields[state] != "0A" && strings.HasPrefix(table, "tcp") {
				continue
			}
			_, hex, _ := strings.Cut(fields[local], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, strconv.FormatUint(port, 10))
		}
		f.Close()
	}
	slices.Sort(ports)
	return ports
}

// The banner tells every port there is: that it tells the documented ones is
// for TestTheReadmeShowsTheBannerAndThePortsOfTheDefaults.
func TestTheBrokerListensOnWhatItsBannerSaysAndNothingElse(t *testing.T) {
	c := startChild(t, "--listen", "mqtt://127.0.0.1:0", "--listen", "amqp://127.0.0.1:0", "--data-dir", t.TempDir())
	var told []string
	for _, m := range regexp.MustCompile(`127\.0\.0\.1:(\d+)`).FindAllStringSubmatch(c.banner, -1) {
		told = append(told, m[1])
	}
	slices.Sort(told)
	if got := listening(t, c.cmd.Process.Pid); !slices.Equal(got, told) {
		t.Errorf("it listens on %q, the banner tells %q", got, told)
	}
}

//go:build unix

package harness

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

func TestAddressesAreGivenOnceAndNotOfOutgoingConnections(t *testing.T) {
	var all []string
	for range 3 {
		some, err := FreeAddresses(20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	slices.Sort(all)
	if once := slices.Compact(slices.Clone(all)); len(once) != 60 {
		t.Errorf("%d different addresses of %d", len(once), len(all))
	}
	for _, a := range all {
		_, text, err := net.SplitHostPort(a)
		if port, _ := strconv.Atoi(text); err != nil || port < firstPort || port > lastPort {
			t.Errorf("%s: %v", a, err)
		}
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
}

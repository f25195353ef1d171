//go:build unix

package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Ports that tests give to brokers which are to have the same ones in all their
// lives. They lie below those that systems take for outgoing connections (from 32768
// on Linux, 49152 elsewhere): between two lives of a broker one of these, of whatever
// runs on the machine, would take the port.
const (
	firstPort = 12_000
	lastPort  = 31_999
)

// FreeAddresses returns addresses of this machine, host:port, at which nobody
// listens. No other caller gets them while this process lives, in other processes
// neither: each port is a locked file.
func FreeAddresses(n int) ([]string, error) {
	dir := filepath.Join(os.TempDir(), "entrepot-test-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var out []string
	for _, i := range rand.Perm(lastPort - firstPort + 1) {
		if len(out) == n {
			return out, nil
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+i))
		if reserved(filepath.Join(dir, strconv.Itoa(firstPort+i))) && unused(address) {
			out = append(out, address)
		}
	}
	return nil, fmt.Errorf("no %d ports are free from %d to %d", n, firstPort, lastPort)
}

// reserved takes the lock of a file, which is held until the process ends: its
// descriptor is never closed, and no child has it.
func reserved(file string) bool {
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return false
	}
	if syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = syscall.Close(fd) // another's
		return false
	}
	return true
}

func unused(address string) bool {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

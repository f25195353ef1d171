package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// statLine is a line of /proc/PID/stat.
func statLine(pid int, name string, parent, utime, stime, cutime, cstime, pages int) string {
	return fmt.Sprintf("%d (%s) S %d 1 1 0 -1 4194304 10 0 0 0 %d %d %d %d 20 0 5 0 100 3133440 %d 1844 1 1 0\n",
		pid, name, parent, utime, stime, cutime, cstime, pages)
}

func fakeProc(t *testing.T, files map[string]string) procfs {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return procfs{root: root}
}

func TestABrokersChildrenCountWithIt(t *testing.T) {
	p := fakeProc(t, map[string]string{
		"10/stat":      statLine(10, "sh", 1, 1, 2, 3, 4, 10),
		"11/stat":      statLine(11, "beam (smp) x) 9", 10, 100, 200, 0, 0, 20),
		"12/stat":      statLine(12, "erl_child", 11, 5, 0, 0, 0, 30),
		"13/stat":      statLine(13, "stranger", 1, 1000, 0, 0, 0, 40),
		"14/stat":      "broken",
		"sys/whatever": "",
	})
	got, n, err := p.tree(10)
	if err != nil {
		t.Fatal(err)
	}
	if n != 3 || got.cpu != 315*jiffy || got.rss != int64(60*os.Getpagesize()) {
		t.Errorf("%d processes, %s, %d bytes", n, got.cpu, got.rss)
	}
	if _, _, err := p.tree(99); err == nil || !strings.Contains(err.Error(), "--pid 99") {
		t.Errorf("a process that is not there: %v", err)
	}
}

func TestProcessLinesThatCannotBeRead(t *testing.T) {
	for _, line := range []string{"", "1", "1 (x", "1 (x) S 1 2 3", "x (y) S" + strings.Repeat(" 1", 30), "1 (y) S" + strings.Repeat(" x", 30), ") 1 ("} {
		if p, err := parseStat(line); err == nil {
			t.Errorf("%q is %+v", line, p)
		}
	}
}

func TestTheMachinesCPUTime(t *testing.T) {
	p := fakeProc(t, map[string]string{"stat": "cpu  100 20 3 5000 700 4 5 6 90 10\ncpu0 1 1 1 1\n"})
	if got, err := p.busy(); err != nil || got != 138*jiffy {
		t.Errorf("%s, %v, want %s", got, err, 138*jiffy)
	}
	for _, text := range []string{"", "cpu 1 2", "intr 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 x 8"} {
		if got, err := fakeProc(t, map[string]string{"stat": text}).busy(); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestForeignCPUIsWhatNeitherBrokerNorGeneratorUsed(t *testing.T) {
	files := map[string]string{
		"stat":      "cpu 1000 0 0 0 0 0 0 0\n",
		"self/stat": statLine(5, "bench", 1, 100, 0, 0, 0, 1),
		"7/stat":    statLine(7, "broker", 1, 200, 0, 0, 0, 256),
	}
	m := &meter{proc: fakeProc(t, files), pid: 7, at: time.Now().Add(-time.Second)}
	var err error
	if m.last, err = m.read(); err != nil {
		t.Fatal(err)
	}
	files["stat"] = "cpu 1100 0 0 0 0 0 0 0\n"
	files["self/stat"] = statLine(5, "bench", 1, 120, 0, 0, 0, 1)
	files["7/stat"] = statLine(7, "broker", 1, 250, 0, 0, 0, 512)
	m.proc = fakeProc(t, files)
	m.sample()
	u, err := m.stop()
	if err != nil {
		t.Fatal(err)
	}
	if u.own != 20*jiffy || u.broker != 50*jiffy || u.foreign != 30*jiffy || u.peak != int64(512*os.Getpagesize()) {
		t.Errorf("%+v", u)
	}
	r := &result{}
	u.elapsed = time.Second
	r.setUsage(u, 1000)
	if *r.BrokerCPU != 500 || *r.BrokerCores != 50 || *r.ForeignCores != 30 || *r.OwnCores != 20 {
		t.Errorf("%v %v %v %v", *r.BrokerCPU, *r.BrokerCores, *r.ForeignCores, *r.OwnCores)
	}
}

func TestThisProcessIsReadFromTheRealProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("no /proc here: the meter does without")
		return
	}
	before, _, err := procfs{root: "/proc"}.tree(os.Getpid())
	if err != nil || before.rss < 1<<20 {
		t.Fatalf("%+v, %v", before, err)
	}
	eventually(t, func() bool {
		now, _, err := procfs{root: "/proc"}.tree(os.Getpid())
		return err == nil && now.cpu > before.cpu
	})
	if _, err := startMeter(os.Getpid()); err == nil {
		t.Error("the generator measures itself as the broker")
	}
}

package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// procfs reads Linux's /proc. Its root is a field so that tests can write
// their own.
type procfs struct{ root string }

// jiffy is the unit of CPU time in /proc (USER_HZ, 100 on every Linux
// architecture that Go runs on).
const jiffy = 10 * time.Millisecond

// process is what /proc/PID/stat says of a process, with all threads that it
// has or had.
type process struct {
	pid, parent int
	cpu         time.Duration // its own and its reaped children's
	rss         int64         // bytes
}

// parseStat reads a line of /proc/PID/stat. The command's name may hold
// anything, so fields are counted from the last parenthesis.
func parseStat(line string) (process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("cannot read process line %.40q", line)
	}
	// f[0] is field 3 of proc(5).
	f := strings.Fields(line[end+1:])
	if len(f) < 22 {
		return process{}, fmt.Errorf("process line %.40q is too short", line)
	}
	var numbers [7]int64
	for i, s := range []string{line[:open], f[1], f[11], f[12], f[13], f[14], f[21]} {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return process{}, fmt.Errorf("process line %.40q: %w", line, err)
		}
		numbers[i] = n
	}
	return process{
		pid:    int(numbers[0]),
		parent: int(numbers[1]),
		cpu:    time.Duration(numbers[2]+numbers[3]+numbers[4]+numbers[5]) * jiffy,
		rss:    numbers[6] * int64(os.Getpagesize()),
	}, nil
}

func (p procfs) process(pid string) (process, error) {
	b, err := os.ReadFile(filepath.Join(p.root, pid, "stat"))
	if err != nil {
		return process{}, err
	}
	return parseStat(string(b))
}

// tree returns what pid and its descendants use together, and how many they
// are. Processes that end meanwhile are left out.
func (p procfs) tree(pid int) (process, int, error) {
	sum, err := p.process(strconv.Itoa(pid))
	if err != nil {
		return process{}, 0, fmt.Errorf("read the broker's process (--pid %d): %w", pid, err)
	}
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return process{}, 0, fmt.Errorf("list processes: %w", err)
	}
	children := map[int][]process{}
	for _, e := range entries {
		if e.Name()[0] < '1' || e.Name()[0] > '9' {
			continue
		}
		if c, err := p.process(e.Name()); err == nil && c.pid != pid {
			children[c.parent] = append(children[c.parent], c)
		}
	}
	count := 1
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, c := range children[queue[0]] {
			sum.cpu += c.cpu
			sum.rss += c.rss
			count++
			queue = append(queue, c.pid)
		}
	}
	return sum, count, nil
}

// busy returns the CPU time that the whole machine has used.
func (p procfs) busy() (time.Duration, error) {
	b, err := os.ReadFile(filepath.Join(p.root, "stat"))
	if err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 8 || f[0] != "cpu" {
		return 0, fmt.Errorf("cannot read the machine's CPU time from %.40q", line)
	}
	var total int64
	// user nice system idle iowait irq softirq steal; guest is part of user,
	// idle and iowait are not use, and what was stolen others had.
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		if i >= len(f) {
			break
		}
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's CPU time: %w", err)
		}
		total += n
	}
	return time.Duration(total) * jiffy, nil
}

// meter measures CPU and memory of the broker between its start and stop, and
// who else used the machine.
type meter struct {
	proc procfs
	pid  int // 0 when the broker's is not known
	at   time.Time
	last reading
	peak int64
}

// reading is the counters at one moment. A negative one could not be read.
type reading struct {
	broker, own, machine time.Duration
	rss                  int64
}

// usage is what a meter measured.
type usage struct {
	elapsed, broker, own, foreign time.Duration
	rss, peak                     int64 // bytes, at the end and at most
	haveBroker, haveForeign       bool
}

func startMeter(pid int) (*meter, error) {
	m := &meter{proc: procfs{root: "/proc"}, pid: pid}
	r, err := m.read()
	if err != nil {
		return nil, err
	}
	m.at, m.last, m.peak = time.Now(), r, r.rss
	return m, nil
}

// read fails only when the broker's figures were asked for and cannot be had;
// a machine without /proc does without the others.
func (m *meter) read() (reading, error) {
	r := reading{own: -1, machine: -1}
	if own, err := m.proc.process("self"); err == nil {
		r.own = own.cpu
	}
	if busy, err := m.proc.busy(); err == nil {
		r.machine = busy
	}
	if m.pid == 0 {
		return r, nil
	}
	broker, _, err := m.proc.tree(m.pid)
	if err != nil {
		return r, err
	}
	if broker.pid == os.Getpid() {
		return r, errors.New("--pid is this process, not the broker's")
	}
	r.broker, r.rss = broker.cpu, broker.rss
	return r, nil
}

// sample keeps the peak of the broker's memory up to date.
func (m *meter) sample() {
	if m.pid == 0 {
		return
	}
	if p, _, err := m.proc.tree(m.pid); err == nil {
		m.peak = max(m.peak, p.rss)
	}
}

func (m *meter) stop() (usage, error) {
	r, err := m.read()
	if err != nil {
		return usage{}, err
	}
	u := usage{
		elapsed:     time.Since(m.at),
		broker:      r.broker - m.last.broker,
		own:         r.own - m.last.own,
		rss:         r.rss,
		peak:        max(m.peak, r.rss),
		haveBroker:  m.pid != 0,
		haveForeign: m.pid != 0 && r.own >= 0 && r.machine >= 0,
	}
	u.foreign = r.machine - m.last.machine - u.own - u.broker
	return u, nil
}

package console

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
)

// runtimeMetrics are the Go runtime's, under the names that dashboards for Go
// programs know. Reading them does not stop the program.
var runtimeMetrics = []struct{ source, name, kind, help string }{
	{"/sched/goroutines:goroutines", "go_goroutines", gauge, "Goroutines."},
	{"/memory/classes/heap/objects:bytes", "go_memstats_heap_alloc_bytes", gauge, "Heap in use by objects."},
	{"/memory/classes/heap/released:bytes", "go_memstats_heap_released_bytes", gauge, "Heap given back to the operating system."},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", gauge, "Memory mapped by the runtime."},
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", counter, "Bytes ever allocated on the heap."},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", counter, "Garbage collections."},
	{"/gc/gomemlimit:bytes", "go_gc_gomemlimit_bytes", gauge, "Memory that the runtime aims to stay under."},
	{"/sched/gomaxprocs:threads", "go_sched_gomaxprocs_threads", gauge, "Processors that run Go code at a time."},
}

func writeRuntime(e *exposition) {
	e.family("go_info", gauge, "Version of Go, as a label.")
	e.sample("go_info", 1, "version", runtime.Version())
	samples := make([]metrics.Sample, len(runtimeMetrics))
	for i, m := range runtimeMetrics {
		samples[i].Name = m.source
	}
	metrics.Read(samples)
	for i, m := range runtimeMetrics {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			e.single(m.name, m.kind, m.help, float64(samples[i].Value.Uint64()))
		}
	}
}

// writeProcess writes what the operating system knows of the process. Where
// there is no /proc there is nothing to write.
func writeProcess(e *exposition) {
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.single("process_open_fds", gauge, "Open file descriptors.", float64(len(fds)-1)) // one was for looking
	}
	if most, ok := maxDescriptors(); ok {
		e.single("process_max_fds", gauge, "Most file descriptors that may be open.", float64(most))
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	if p, ok := parseStat(stat); ok {
		e.single("process_cpu_seconds_total", counter, "Processor time, user and system.", float64(p.ticks)/ticksPerSecond)
		e.single("process_resident_memory_bytes", gauge, "Resident memory.", float64(p.pages)*float64(os.Getpagesize()))
		e.single("process_threads", gauge, "Operating system threads.", float64(p.threads))
	}
}

// ticksPerSecond is what Linux counts processor time in for programs, on
// every architecture that Go supports.
const ticksPerSecond = 100

type processStat struct{ ticks, threads, pages uint64 }

// parseStat reads /proc/PID/stat: fields 14 and 15 are processor time, 20 the
// threads, 24 the resident pages. Field 2 may hold blanks and brackets.
func parseStat(b []byte) (processStat, bool) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return processStat{}, false
	}
	fields := strings.Fields(string(b[end+1:])) // the first is field 3
	if len(fields) < 22 {
		return processStat{}, false
	}
	var n [4]uint64
	for i, field := range [...]int{14, 15, 20, 24} {
		v, err := strconv.ParseUint(fields[field-3], 10, 64)
		if err != nil {
			return processStat{}, false
		}
		n[i] = v
	}
	return processStat{ticks: n[0] + n[1], threads: n[2], pages: n[3]}, true
}

// maxDescriptors reads the limit of open files from /proc/self/limits.
func maxDescriptors() (uint64, bool) {
	b, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, err := strconv.ParseUint(f[0], 10, 64)
				return n, err == nil
			}
		}
	}
	return 0, false
}

//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child with what it says on stdout. It is ended by its stdin, and killed if that does not help.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errors *tail
}

// tail keeps the last of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 4096 {
		t.b = t.b[len(t.b)-4096:]
	}
	return len(p), nil
}

func start(argv ...string) (*process, error) {
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), errors: &tail{}}
	p.cmd.Stderr = p.errors
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewReader(out)
	return p, p.cmd.Start()
}

// role starts this program in another role.
func role(name string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(append([]string{self, "role", name}, args...)...)
}

// say reads one line of JSON.
func (p *process) say(into any) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(p.cmd.Path), err, p.errors.b)
	}
	return json.Unmarshal(line, into)
}

// stop ends the process: an interrupt, then a kill.
func (p *process) stop() {
	p.in.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.cmd.Wait()
	kill.Stop()
}

// cpu is the processor time of the process, of all the threads that it ever had.
func (p *process) cpu() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(int32(^p.cmd.Process.Pid)<<3|2, &ts) // as clock_getcpuclockid(3) makes it
	return time.Duration(ts.Nano())
}

// rss is the resident set in bytes.
func (p *process) rss() int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(f[1], 10, 64)
	return n * int64(os.Getpagesize())
}

// meminfo is a field of /proc/meminfo in bytes.
func meminfo(field string) int64 {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == field+":" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// kernelMemory is what sockets and their like hold: slabs, and the pages of TCP buffers.
func kernelMemory() int64 {
	b, _ := os.ReadFile("/proc/net/sockstat")
	pages := int64(0)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		for i := range f {
			if f[i] == "mem" && strings.HasPrefix(line, "TCP:") && i+1 < len(f) {
				pages, _ = strconv.ParseInt(f[i+1], 10, 64)
			}
		}
	}
	return meminfo("Slab") + pages*int64(os.Getpagesize())
}

// server is a child that serves, with the gauges of its /stats.
type server struct {
	*process
	base string
}

// serve starts ssegauge's server.
func (b *bench) serve(args ...string) (*server, error) {
	p, err := start(append([]string{b.ssegauge, "serve", "--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return nil, err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("serve %v: %s", args, p.errors.b)
	}
	return &server{p, strings.TrimSpace(strings.TrimPrefix(line, "listening on "))}, nil
}

type gauges struct {
	Streams     int   `json:"streams"`
	Connections int64 `json:"connections"`
	Opened      int64 `json:"streams_opened"`
	Published   int64 `json:"events_published"`
	Delivered   int64 `json:"events_delivered"`
}

func (s *server) stats() (g gauges, err error) {
	resp, err := http.Get(s.base + "/stats")
	if err != nil {
		return g, err
	}
	defer resp.Body.Close()
	return g, json.NewDecoder(resp.Body).Decode(&g)
}

// holds waits until the server has so many streams open.
func (s *server) holds(streams int) error {
	var g gauges
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if g, err = s.stats(); err == nil && g.Streams >= streams {
			return nil
		}
	}
	return fmt.Errorf("the server has %d of %d streams (%v)", g.Streams, streams, err)
}

// publish sends n events with data of size bytes, one each interval.
func (s *server) publish(n, size int, every time.Duration) error {
	body := `{"data":"` + strings.Repeat("x", size) + `"}`
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range n {
		<-tick.C
		resp, err := http.Post(s.base+"/publish", "application/json", strings.NewReader(body))
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return errors.New("publish: " + resp.Status)
		}
	}
	return nil
}

// report is what is read of load's JSON.
type report struct {
	Validity struct {
		Verdict string   `json:"verdict"`
		Reasons []string `json:"reasons"`
	} `json:"validity"`
	Streams struct {
		Planned, Opened, Failed, Peak, Connections int
		Failures                                   map[string]int
	} `json:"streams"`
	Events struct {
		Published, Received, Eligible, Lost, Duplicated, Reordered int64
	} `json:"events"`
	Latency   map[string]quantiles `json:"latency_us"`
	Generator struct {
		CPU            float64   `json:"cpu_seconds"`
		RSS            int64     `json:"rss_bytes"`
		BytesPerStream int64     `json:"bytes_per_stream"`
		Delay          quantiles `json:"delay_us"`
		Engine         string    `json:"engine"`
	} `json:"generator"`
}

type quantiles struct {
	Count int64    `json:"count"`
	P50   *float64 `json:"p50"`
	P99   *float64 `json:"p99"`
	Max   *float64 `json:"max"`
}

func value(f *float64) float64 {
	if f == nil {
		return 0
	}
	return *f
}

// load starts ssegauge's generator.
func (b *bench) load(args ...string) (*process, error) {
	return start(append([]string{b.ssegauge, "load", "--format", "json"}, args...)...)
}

// report waits for a generator's end.
func (p *process) report() (r report, err error) {
	text, err := io.ReadAll(p.out)
	if err != nil {
		return r, err
	}
	exit := p.cmd.Wait()
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("load: %v: %s", exit, p.errors.b)
	}
	return r, nil
}

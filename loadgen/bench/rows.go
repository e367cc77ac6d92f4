//go:build linux

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// line prints one comparison. better tells in which direction the ratio ought to go: ours over the baseline.
func line(what, unit string, ours, baseline float64, name string, note string) {
	ratio := "-"
	if baseline > 0 && ours > 0 {
		ratio = fmt.Sprintf("%.3g", ours/baseline)
	}
	fmt.Printf("%-46s ours %10s  %-9s %10s  ratio %-7s %s\n", what, amount(ours, unit), name, amount(baseline, unit), ratio, note)
}

func amount(v float64, unit string) string {
	switch {
	case v == 0:
		return "-"
	case v >= 1000 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f %s", v, unit)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

// shape is a fan-out: so many streams, so many events.
type shape struct {
	http    string
	streams int
	events  int
	every   time.Duration
}

// used is what a receiver needed.
type used struct {
	cpu                 float64 // us a delivery
	server              float64 // us a delivery, of the server
	rss                 int64   // bytes, with all streams open
	delivered, received int64   // as the server says, as the receiver does
	verdict             string
}

const eventBytes = 100

// fanOut runs a receiver against a server of its own and says what it cost from the first event to the last. The generator publishes by itself, to the others it is
// done from here.
func (b *bench) fanOut(s shape, client string) (u used, err error) {
	srv, err := b.serve("--engine", b.engine)
	if err != nil {
		return u, err
	}
	defer srv.stop()
	url := srv.base + "/events"
	n := strconv.Itoa(s.streams)
	var p *process
	if client == "ours" {
		p, err = b.load("--http", s.http, "--streams", n, "--streams-per-conn", "100", "--calibrate=false", "--canary=false",
			"--publish", "POST "+srv.base+"/publish", "--publish-body", `{"data":{{json .Data}}}`, "--publish-size", strconv.Itoa(eventBytes),
			"--publish-rate", fmt.Sprintf("%g/s", 1/s.every.Seconds()), "--duration", (time.Duration(s.events) * s.every).String(), url)
	} else if p, err = role(client, "-http", s.http, "-streams", n, "-url", url); err == nil {
		var o opened
		if err = p.say(&o); err == nil && o.Opened < s.streams {
			err = fmt.Errorf("%s opened %d of %d", client, o.Opened, s.streams)
		}
	}
	if err != nil {
		return u, err
	}
	defer p.stop()
	published := make(chan error, 1)
	if client != "ours" {
		if err := srv.holds(s.streams); err != nil {
			return u, err
		}
		go func() {
			time.Sleep(500 * time.Millisecond)
			published <- srv.publish(s.events, eventBytes, s.every)
		}()
	}
	var before, beforeServer time.Duration
	var delivered, latest int64
	var still time.Time // since when nothing more was delivered
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			return u, fmt.Errorf("%s: %d delivered, and not done in two minutes: %s", client, latest-delivered, p.errors.b)
		}
		g, err := srv.stats()
		if err != nil {
			return u, err
		}
		cpu, serverCPU := p.cpu(), srv.cpu()
		if g.Published == 0 {
			before, beforeServer, delivered, u.rss = cpu, serverCPU, g.Delivered, p.rss()
			continue
		}
		if g.Delivered > latest {
			latest, still = g.Delivered, time.Now()
		}
		if g.Published == int64(s.events) && time.Since(still) > 300*time.Millisecond {
			u.delivered = latest - delivered
			u.cpu = float64(cpu-before) / 1e3 / float64(u.delivered)
			u.server = float64(serverCPU-beforeServer) / 1e3 / float64(u.delivered)
			break
		}
	}
	if client == "ours" {
		r, err := p.report()
		u.received, u.verdict = r.Events.Received, r.Validity.Verdict
		return u, err
	}
	if err := <-published; err != nil {
		return u, err
	}
	p.in.Close()
	var o outcome
	err = p.say(&o)
	u.received = o.Received
	return u, err
}

// cost is memory for a stream and processor time for a delivery, HTTP/1.1 and HTTP/2.
func (b *bench) cost() error {
	for _, s := range []shape{{"1.1", 15_000, 20, 400 * time.Millisecond}, {"h2c", 20_000, 40, 200 * time.Millisecond}} {
		var got [3]used
		var idle [3]int64
		for i, client := range []string{"ours", "nethttp", "floor"} {
			few, err := b.fanOut(shape{s.http, 10, 5, 200 * time.Millisecond}, client)
			if err != nil {
				return err
			}
			idle[i] = few.rss
			if got[i], err = b.fanOut(s, client); err != nil {
				return err
			}
			if got[i].received < got[i].delivered {
				return fmt.Errorf("%s received %d of %d", client, got[i].received, got[i].delivered)
			}
		}
		each := func(i int) float64 { return float64(got[i].rss-idle[i]) / float64(s.streams) }
		title := fmt.Sprintf("%s, %d streams", map[string]string{"1.1": "HTTP/1.1", "h2c": "h2c, 100 a connection"}[s.http], s.streams)
		line("memory a stream, "+title, "B", each(0), each(1), "net/http", target(map[string]string{"1.1": "256", "h2c": "128"}[s.http]+" B", "resident beyond that with 10 streams"))
		line("CPU a delivery, "+title, "us", got[0].cpu, got[1].cpu, "net/http", "load says "+got[0].verdict)
		line("CPU a delivery, "+title, "us", got[0].cpu, got[2].cpu, "floor", "epoll_wait and recvmsg alone")
		line("CPU a delivery of the server ("+b.engine+"), "+title, "us", got[0].server, got[1].server, "same", "beside the two clients")
	}
	return nil
}

func target(limit, note string) string { return "target " + limit + "; " + note }

// truth holds reported percentiles against the kernel's stamps as an independent receiver has them, whose streams stand among those of the client in the same run: the
// same events of the same server.
func (b *bench) truth() error {
	fmt.Println("delivery from the server's send time, us; the witness: kernel stamps of other streams of the same events, by a program of its own")
	for _, n := range []int{100, 1_000, 10_000} {
		for _, client := range []string{"ours", "net/http"} {
			if err := b.trial(client, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) trial(client string, n int) error {
	witnesses := max(50, n/20)
	const events = 120 // fewer do not resolve a p99
	every := 100 * time.Millisecond
	if n > 5000 {
		every = 250 * time.Millisecond
	}
	srv, err := role("stamper", "-wait", strconv.Itoa(n+witnesses), "-events", strconv.Itoa(events), "-every", every.String())
	if err != nil {
		return err
	}
	defer srv.stop()
	base, err := srv.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("stamper: %s", srv.errors.b)
	}
	base = strings.TrimSpace(base)
	hold := events*every + 4*time.Second
	witness, err := role("floor", "-streams", strconv.Itoa(witnesses), "-url", base)
	if err != nil {
		return err
	}
	defer witness.stop()
	var o opened
	if err := witness.say(&o); err != nil {
		return err
	}
	var p *process
	if client == "ours" {
		p, err = b.load("--http", "1.1", "--streams", strconv.Itoa(n), "--ramp", "1s", "--timestamp-json", "sent_ns", "--duration", hold.String(), "--calibrate=false", "--canary=false", base)
	} else {
		p, err = role("nethttp", "-streams", strconv.Itoa(n), "-url", base)
	}
	if err != nil {
		return err
	}
	defer p.stop()
	if client != "ours" {
		if err := p.say(&o); err != nil {
			return err
		}
	}
	var p50, p99, own float64
	verdict := ""
	if client == "ours" {
		r, err := p.report()
		if err != nil {
			return err
		}
		d := r.Latency["deliver"]
		p50, p99, own, verdict = value(d.P50), value(d.P99), value(r.Generator.Delay.P99), r.Validity.Verdict
	} else {
		time.Sleep(hold)
		p.in.Close()
		var got outcome
		if err := p.say(&got); err != nil {
			return err
		}
		p50, p99 = got.P50, got.P99
	}
	witness.in.Close()
	var w outcome
	if err := witness.say(&w); err != nil {
		return err
	}
	note := ""
	if client == "ours" {
		note = fmt.Sprintf("own delay p99 %.0f us; %s", own, verdict)
	}
	fmt.Printf("%6d streams  %-8s  p50 %8.0f us (%.2f of the witness's %.0f)  p99 %8.0f us (%.2f of %.0f)  %s\n", n, client, p50, p50/w.P50, w.P50, p99, p99/w.P99, w.P99, note)
	return nil
}

// opening is how quickly streams open: in one burst against ssegauge's own server, and behind nginx where that is installed.
func (b *bench) opening() error {
	const n = 19_000
	burst := func(url, hold string) (seconds, cpu float64, r report, err error) {
		p, err := b.load("--http", "1.1", "--streams", strconv.Itoa(n), "--ramp", "0s", "--duration", hold, "--calibrate=false", "--canary=false", url)
		if err != nil {
			return 0, 0, r, err
		}
		defer p.stop()
		r, err = p.report()
		return value(r.Latency["open"].Max) / 1e6, r.Generator.CPU, r, err
	}
	srv, err := b.serve("--engine", b.engine)
	if err != nil {
		return err
	}
	seconds, cpu, r, err := burst(srv.base+"/events", "3s")
	srv.stop()
	if err != nil {
		return err
	}
	ours := float64(r.Streams.Opened) / seconds
	if srv, err = b.serve("--engine", b.engine); err != nil {
		return err
	}
	p, err := role("nethttp", "-streams", strconv.Itoa(n), "-url", srv.base+"/events")
	if err != nil {
		srv.stop()
		return err
	}
	var o opened
	err = p.say(&o)
	p.stop()
	srv.stop()
	if err != nil {
		return err
	}
	line(fmt.Sprintf("openings a second, HTTP/1.1, %d at once, %s", n, b.engine), "/s", ours, float64(o.Opened)/o.Seconds, "net/http",
		fmt.Sprintf("%d opened, %d failed %v; %.0f openings for a second of our CPU", r.Streams.Opened, r.Streams.Failed, r.Streams.Failures, float64(r.Streams.Opened)/cpu))

	nginx, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Println("nginx is not installed: not measured behind it (reference/interop/install installs it)")
		return nil
	}
	if srv, err = b.serve(); err != nil {
		return err
	}
	defer srv.stop()
	front, stop, err := proxy(nginx, strings.TrimPrefix(srv.base, "http://"))
	if err != nil {
		return err
	}
	defer stop()
	seconds, cpu, r, err = burst(front+"/events", "15s")
	if err != nil {
		return err
	}
	line(fmt.Sprintf("openings a second, HTTP/1.1, %d at once, nginx in front of net", n), "/s", float64(r.Streams.Opened)/seconds, 0, "", fmt.Sprintf("%d opened, %d failed %v, peak %d; %.1f s of our CPU in all",
		r.Streams.Opened, r.Streams.Failed, r.Streams.Failures, r.Streams.Peak, cpu))
	return nil
}

// proxy starts nginx in front of upstream with room for 19,000 streams.
func proxy(nginx, upstream string) (base string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "bench-nginx")
	if err != nil {
		return "", nil, err
	}
	port := 20000 + os.Getpid()%5000
	conf := fmt.Sprintf(`daemon off; master_process on; worker_processes 4; worker_rlimit_nofile 20000; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 19900; }
http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
 server { listen 127.0.0.1:%[2]d reuseport backlog=4096; location / { proxy_pass http://%[3]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 1h; } } }
`, dir, port, upstream)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return "", nil, err
	}
	p, err := start(nginx, "-p", dir, "-c", file)
	if err != nil {
		return "", nil, err
	}
	stop = func() {
		p.stop()
		os.RemoveAll(dir)
	}
	base = fmt.Sprintf("http://127.0.0.1:%d", port)
	for range 50 {
		if resp, err := http.Get(base + "/healthz"); err == nil {
			resp.Body.Close()
			return base, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	stop()
	return "", nil, fmt.Errorf("nginx does not answer: %s%s", p.errors.b, log)
}

// validity is whether a run knows what it is worth: healthy ones, and ones beside which every processor is taken.
func (b *bench) validity() error {
	const runs = 10
	for _, busy := range []bool{false, true} {
		verdicts := map[string]int{}
		why := map[string]int{}
		for range runs {
			srv, err := b.serve()
			if err != nil {
				return err
			}
			var spins []*process
			if busy {
				for range 2 {
					p, err := role("spin")
					if err != nil {
						return err
					}
					spins = append(spins, p)
				}
			}
			p, err := b.load("--http", "1.1", "--streams", "1000", "--duration", "5s", "--publish", "POST "+srv.base+"/publish", "--publish-body", `{"data":{{json .Data}}}`, srv.base+"/events")
			var r report
			if err == nil {
				r, err = p.report()
			}
			for _, s := range spins {
				_ = s.cmd.Process.Kill()
				s.stop()
			}
			srv.stop()
			if err != nil {
				return err
			}
			verdicts[r.Validity.Verdict]++
			for _, reason := range r.Validity.Reasons {
				why[strings.Join(strings.Fields(strings.Map(notDigit, reason))[:min(8, len(strings.Fields(strings.Map(notDigit, reason))))], " ")]++
			}
		}
		fmt.Printf("%-40s %v  %v\n", map[bool]string{false: "healthy: valid wanted", true: "two busy loops beside it: not valid wanted"}[busy], verdicts, why)
	}
	return nil
}

func notDigit(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}

// million is a million streams over HTTP/2 between one server and one generator.
func (b *bench) million() error {
	const n, events = 1_000_000, 10
	kernel := kernelMemory()
	srv, err := b.serve("--engine", b.engine)
	if err != nil {
		return err
	}
	defer srv.stop()
	begun := time.Now()
	p, err := b.load("--http", "h2c", "--streams", strconv.Itoa(n), "--streams-per-conn", "100", "--ramp", "20s", "--calibrate=false", "--canary=false", "--publish", "POST "+srv.base+"/publish",
		"--publish-body", `{"data":{{json .Data}}}`, "--publish-size", strconv.Itoa(eventBytes), "--publish-rate", "0.5/s", "--duration", "20s", srv.base+"/events")
	if err != nil {
		return err
	}
	defer p.stop()
	var ours, theirs, system int64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			rss := p.rss()
			if rss == 0 {
				return
			}
			ours, theirs, system = max(ours, rss), max(theirs, srv.rss()), max(system, kernelMemory()-kernel)
			time.Sleep(500 * time.Millisecond)
		}
	}()
	r, err := p.report()
	<-watched
	if err != nil {
		return err
	}
	took := time.Since(begun)
	const mib = 1 << 20
	fmt.Printf("opened      %d of %d streams on %d connections, %d failed %v\n", r.Streams.Opened, n, r.Streams.Connections, r.Streams.Failed, r.Streams.Failures)
	fmt.Printf("received    %d of %d (%d events published), %d lost, %d doubled, %d out of order\n", r.Events.Received, int64(n)*r.Events.Published, r.Events.Published, r.Events.Lost, r.Events.Duplicated, r.Events.Reordered)
	fmt.Printf("memory      generator %d MiB, server %d MiB, kernel %d MiB: %d MiB in all (target 400 MB)\n", ours/mib, theirs/mib, system/mib, (ours+theirs+system)/mib)
	fmt.Printf("delivery    p50 %.0f ms, p99 %.0f ms; all have it: p50 %.0f ms\n", value(r.Latency["deliver"].P50)/1e3, value(r.Latency["deliver"].P99)/1e3, value(r.Latency["fanout_t100"].P50)/1e3)
	fmt.Printf("generator   %.1f s of CPU; %s %q\n", r.Generator.CPU, r.Validity.Verdict, r.Validity.Reasons)
	fmt.Printf("time        %.0f s in all (target 120 s)\n", took.Seconds())
	if r.Streams.Opened != n || r.Events.Published != events || r.Events.Lost != 0 || r.Events.Received != n*events {
		return fmt.Errorf("short of a million streams with ten events each")
	}
	return nil
}

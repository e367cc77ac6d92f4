package loadgen_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ssegauge/loadgen"
	"ssegauge/loadgen/plan"
	"ssegauge/reference/server"
)

// The benchmark runs the server and each client in a process of its own: this binary, told by the environment what to be.
const (
	roleEnv  = "SSEGAUGE_BENCH_ROLE"
	addrEnv  = "SSEGAUGE_BENCH_ADDR"
	shapeEnv = "SSEGAUGE_BENCH_SHAPE"
)

func TestMain(m *testing.M) {
	role := map[string]func() error{"server": benchServer, "ours": benchOurs, "net/http": benchNetHTTP, "canary": canaryRole, "sink": sinkRole, "fails": func() error { return errors.New("no") }}[os.Getenv(roleEnv)]
	if role == nil {
		goleak.VerifyTestMain(m)
		return
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// shape is what a client of the benchmark does.
type shape struct {
	HTTP    string
	Streams int
	Rate    int // events a second, for Seconds
	Seconds int
}

// cost is what it cost.
type cost struct {
	Opened, Received int64
	CPU              float64 // seconds while events came
	Bytes            int64   // resident, beyond what the process had before the first stream
	P50, P99         float64 // delivery, us
	Verdict          string
	Reasons          []string
}

func (s shape) channel() string { return strings.ReplaceAll(s.HTTP, ".", "") }

func benchServer() error {
	s, err := server.New(server.Config{MaxConcurrentStreams: 250})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return s.Serve(context.Background(), l, nil)
}

func benchShape() (sh shape, base string, err error) {
	return sh, "http://" + os.Getenv(addrEnv), json.Unmarshal([]byte(os.Getenv(shapeEnv)), &sh)
}

func cpu() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func resident() int64 {
	b, _ := os.ReadFile("/proc/self/statm")
	var total, pages int64
	fmt.Sscan(string(b), &total, &pages)
	return pages * int64(os.Getpagesize())
}

func benchOurs() error {
	sh, base, err := benchShape()
	if err != nil {
		return err
	}
	p := &plan.Plan{
		Targets: []plan.Target{{URL: base + "/events?channel=" + sh.channel(), HTTP: sh.HTTP}}, Streams: sh.Streams, Hold: time.Duration(sh.Seconds) * time.Second,
		Publish: &plan.Publish{HTTP: "POST " + base + "/publish?channel=" + sh.channel(), Body: `{"data":{{json .Data}}}`, Rate: plan.Rate(sh.Rate), Size: 100},
	}
	var before float64
	l, err := loadgen.Run(context.Background(), p, func(s loadgen.Snapshot) {
		if s.Opened == sh.Streams && s.Received == 0 {
			before = cpu()
		}
	})
	if err != nil {
		return err
	}
	c := cost{Opened: int64(l.Streams.Opened), Received: l.Events.Received, CPU: cpu() - before, Bytes: l.Generator.BytesPerStream * int64(l.Streams.Peak), Verdict: l.Validity.Verdict, Reasons: l.Validity.Reasons}
	if q := l.LatencyUS["deliver"]; q != nil && q.P50 != nil && q.P99 != nil {
		c.P50, c.P99 = *q.P50, *q.P99
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// benchNetHTTP is the client that everyone writes: a goroutine for each stream, net/http and a Scanner.
func benchNetHTTP() error {
	sh, base, err := benchShape()
	if err != nil {
		return err
	}
	tr := &http.Transport{MaxConnsPerHost: 0, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(sh.HTTP == "1.1")
	tr.Protocols.SetUnencryptedHTTP2(sh.HTTP == "h2c")
	client := &http.Client{Transport: tr}
	rss := resident()
	var opened, received atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	slots := make(chan struct{}, 64)
	for range sh.Streams {
		slots <- struct{}{}
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "GET", base+"/events?channel="+sh.channel(), nil)
			r.Header.Set("Accept", "text/event-stream")
			resp, err := client.Do(r)
			<-slots
			if err != nil {
				return
			}
			defer resp.Body.Close()
			opened.Add(1)
			sc := bufio.NewScanner(resp.Body)
			data := ""
			for sc.Scan() {
				line := sc.Text()
				if d, ok := strings.CutPrefix(line, "data:"); ok {
					data += strings.TrimPrefix(d, " ")
				} else if line == "" && data != "" {
					received.Add(1)
					data = ""
				}
			}
		})
	}
	for opened.Load() < int64(sh.Streams) {
		time.Sleep(10 * time.Millisecond)
	}
	publisher := &http.Client{}
	before := cpu()
	n := sh.Rate * sh.Seconds
	tick := time.NewTicker(time.Second / time.Duration(sh.Rate))
	for range n {
		<-tick.C
		resp, err := publisher.Post(base+"/publish?channel="+sh.channel(), "application/json", strings.NewReader(`{"data":"`+strings.Repeat("x", 100)+`"}`))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 && resp.StatusCode != 201 && resp.StatusCode != 202 {
			return errors.New(resp.Status)
		}
	}
	for end := time.Now().Add(20 * time.Second); received.Load() < int64(n*sh.Streams) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	c := cost{Opened: opened.Load(), Received: received.Load(), CPU: cpu() - before, Bytes: resident() - rss}
	cancel()
	wg.Wait()
	tr.CloseIdleConnections()
	return json.NewEncoder(os.Stdout).Encode(c)
}

// BenchmarkClient prints what a stream and a delivery cost us, and beside it the net/http client against the same kind of server in the same run:
//
//	go test ./loadgen -run '^$' -bench Client -benchtime 1x
func BenchmarkClient(b *testing.B) {
	for _, sh := range []shape{{"1.1", 2000, 5, 6}, {"1.1", 10000, 2, 6}, {"h2c", 20000, 2, 6}} {
		b.Run(fmt.Sprintf("%s/%d", sh.HTTP, sh.Streams), func(b *testing.B) {
			for b.Loop() {
				ours, theirs := client(b, "ours", sh), client(b, "net/http", sh)
				if ours.Received == 0 || theirs.Received == 0 {
					b.Fatalf("nothing received: %+v, %+v", ours, theirs)
				}
				perOurs, perTheirs := 1e6*ours.CPU/float64(ours.Received), 1e6*theirs.CPU/float64(theirs.Received)
				bytesOurs, bytesTheirs := float64(ours.Bytes)/float64(ours.Opened), float64(theirs.Bytes)/float64(theirs.Opened)
				b.ReportMetric(bytesOurs, "B/stream")
				b.ReportMetric(bytesTheirs/bytesOurs, "x_less_memory")
				b.ReportMetric(perOurs, "us/delivery")
				b.ReportMetric(perTheirs/perOurs, "x_less_cpu")
				b.Logf("%d streams over %s, %d CPUs: ours %.0f B/stream, %.2f us/delivery (%d opened, %d received, p50 %.0f us, p99 %.0f us, %s %q); net/http %.0f B/stream, %.2f us/delivery (%d opened, %d received)",
					sh.Streams, sh.HTTP, runtime.NumCPU(), bytesOurs, perOurs, ours.Opened, ours.Received, ours.P50, ours.P99, ours.Verdict, ours.Reasons, bytesTheirs, perTheirs, theirs.Opened, theirs.Received)
			}
		})
	}
}

// client runs one client against a fresh server and returns what it cost.
func client(b *testing.B, role string, sh shape) (c cost) {
	b.Helper()
	self := func(role string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		shape, _ := json.Marshal(sh)
		cmd.Env = append(os.Environ(), roleEnv+"="+role, shapeEnv+"="+string(shape))
		cmd.Stderr = os.Stderr
		return cmd
	}
	srv := self("server")
	out, err := srv.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		srv.Process.Kill()
		srv.Wait()
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	cmd := self(role)
	cmd.Env = append(cmd.Env, addrEnv+"="+strings.TrimSpace(addr))
	answer, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(answer, &c); err != nil {
		b.Fatal(err)
	}
	return c
}

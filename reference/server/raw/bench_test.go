package raw

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"ssegauge/reference/server"
)

// The benchmark runs each server in a process of its own: this binary, told by the environment which engine to be.
const engineEnv = "SSEGAUGE_BENCH_ENGINE"

func serveForBench(name string) error {
	srv, err := server.New(server.Config{})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	if name == "raw" {
		return Serve(context.Background(), srv, l)
	}
	return srv.Serve(context.Background(), l, nil)
}

// BenchmarkServer prints what a stream and a delivery cost the raw engine and the net engine, in one run:
//
//	go test ./reference/server/raw -run '^$' -bench Server -benchtime 1x
//
// The client reads and throws away. Memory is resident, beyond that of the server without streams; CPU is user and system.
func BenchmarkServer(b *testing.B) {
	for _, sh := range []struct {
		proto          string
		conns, perConn int
		events         int
	}{{"1.1", 5000, 1, 20}, {"h2c", 200, 100, 20}} {
		b.Run(fmt.Sprintf("%s/%d", sh.proto, sh.conns*sh.perConn), func(b *testing.B) {
			for b.Loop() {
				raw := costOf(b, "raw", sh.proto, sh.conns, sh.perConn, sh.events)
				net := costOf(b, "net", sh.proto, sh.conns, sh.perConn, sh.events)
				b.ReportMetric(raw.bytes, "B/stream")
				b.ReportMetric(net.bytes/raw.bytes, "x_less_memory")
				b.ReportMetric(raw.cpu, "us/delivery")
				b.ReportMetric(net.cpu/raw.cpu, "x_less_cpu")
				b.Logf("%d streams over %s: raw %.0f B/stream, %.2f us/delivery; net %.0f B/stream, %.2f us/delivery", sh.conns*sh.perConn, sh.proto, raw.bytes, raw.cpu, net.bytes, net.cpu)
			}
		})
	}
}

// cost is what a server paid: resident bytes a stream, microseconds of CPU a delivery.
type cost struct{ bytes, cpu float64 }

func costOf(b *testing.B, engine, proto string, conns, perConn, events int) cost {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), engineEnv+"="+engine)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	stats := func() (st server.Stats) {
		res, err := client.Get("http://" + addr + "/stats")
		if err != nil {
			b.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&st); err != nil {
			b.Fatal(err)
		}
		return st
	}
	until := func(what string, done func(server.Stats) bool) {
		b.Helper()
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			st := stats()
			if done(st) {
				return
			}
			if time.Now().After(end) {
				b.Fatalf("%s, %s: not %s: %+v", engine, proto, what, st)
			}
		}
	}
	stats()
	rss := residentOf(b, cmd.Process.Pid)
	hello := opening(proto, addr, perConn)
	for range conns {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		if _, err := nc.Write(hello); err != nil {
			b.Fatal(err)
		}
		go func() { _, _ = io.Copy(io.Discard, nc) }()
	}
	n := conns * perConn
	until("open", func(st server.Stats) bool { return st.Streams == n })
	var c cost
	c.bytes = float64(residentOf(b, cmd.Process.Pid)-rss) / float64(n)
	before := cpuOf(b, cmd.Process.Pid)
	body := `{"data":"` + strings.Repeat("x", 100) + `"}`
	for i := range events {
		res, err := client.Post("http://"+addr+"/publish", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		until("delivered", func(st server.Stats) bool { return st.Delivered == uint64((i+1)*n) })
	}
	c.cpu = 1e6 * (cpuOf(b, cmd.Process.Pid) - before) / float64(events*n)
	return c
}

// opening is what a client sends on a connection that opens so many streams, with windows that never close.
func opening(proto, addr string, streams int) []byte {
	if proto == "1.1" {
		return []byte("GET /events HTTP/1.1\r\nHost: " + addr + "\r\n\r\n")
	}
	var buf bytes.Buffer
	buf.WriteString(preface)
	f := http2.NewFramer(&buf, nil)
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxWindow})
	_ = f.WriteWindowUpdate(0, maxWindow-initialWindow)
	_ = f.WriteSettingsAck()
	for i := range streams {
		_ = f.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 1), BlockFragment: block(":method", "GET", ":scheme", "http", ":authority", addr, ":path", "/events"), EndStream: true, EndHeaders: true,
		})
	}
	return buf.Bytes()
}

// block is a field block that uses no dynamic table, and says so.
func block(fields ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

func residentOf(b *testing.B, pid int) int64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		b.Skip("no /proc here")
	}
	var total, pages int64
	_, _ = fmt.Sscan(string(text), &total, &pages)
	return pages * int64(os.Getpagesize())
}

// cpuOf is in seconds; the kernel counts in hundredths.
func cpuOf(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var user, system float64
	_, _ = fmt.Sscan(fields[11], &user)
	_, _ = fmt.Sscan(fields[12], &system)
	return (user + system) / 100
}

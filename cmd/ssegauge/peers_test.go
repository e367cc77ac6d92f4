package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ssegauge/reference/server"
)

// cmdServe starts the reference server for the rest of the script: serve [fault | max-streams-per-conn=N].
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	config := server.Config{History: 100, Heartbeat: 15 * time.Second, Retry: 2 * time.Second}
	if len(args) > 0 {
		if n, limited := strings.CutPrefix(args[0], "max-streams-per-conn="); limited {
			var err error
			config.MaxConcurrentStreams, err = strconv.Atoi(n)
			ts.Check(err)
		} else {
			config.Fault = args[0]
		}
	}
	srv, err := server.New(config)
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l, nil) }()
	ts.Defer(func() {
		cancel()
		<-done
	})
	ts.Setenv("URL", "http://"+l.Addr().String())
}

// peers are servers that a target can turn out to be.
var peers = map[string]func(net.Conn){
	"html": answer("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 17\r\n\r\n<h1>Welcome!</h1>"),
	"404":  answer("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nnot here\n"),
	"random": func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		io.CopyN(c, rand.Reader, 1<<20)
	},
	"endless-head": func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for i := 0; i < 1<<20; i++ {
			if _, err := fmt.Fprintf(c, "X-Pad-%d: %s\r\n", i, strings.Repeat("x", 100)); err != nil {
				return
			}
		}
	},
	"slow-head": func(c net.Conn) {
		readHead(c)
		for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n") {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	},
	"one-line": func(c net.Conn) { // a gigabyte of it
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ")
		line := bytes.Repeat([]byte("x"), 1<<20)
		for range 1 << 10 {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	},
	"silent": func(c net.Conn) { io.Copy(io.Discard, c) },
	"garbage": func(c net.Conn) {
		readHead(c)
		io.CopyN(c, rand.Reader, 4096)
	},
	"dies": func(c net.Conn) {
		readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n10\r\ndata: a\n\ndata: b\r\n")
	},
	"escapes": answer("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: \x1b[31mred\x1b]0;title\x07\ndata: \x1b[2J<script>\u202e\n\n"),
}

// cmdPeer starts one of peers: peer KIND.
func cmdPeer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 || peers[args[0]] == nil {
		ts.Fatalf("usage: peer KIND")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				peers[args[0]](c)
			}()
		}
	}()
	ts.Setenv("URL", "http://"+l.Addr().String()+"/events")
}

func answer(bytes string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		io.WriteString(c, bytes)
	}
}

func readHead(c net.Conn) {
	if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		req.Body.Close()
	}
}

// cmdExitCode runs a command and demands its exit code: exitcode N[,N...] ssegauge ARGS...
// Where a busy machine may spoil a measurement, 4 stands beside the code of the quiet one.
func cmdExitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N[,N...] command args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if !slices.Contains(strings.Split(args[0], ","), strconv.Itoa(got)) {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// cmdInterrupt runs ssegauge until a line of its output matches, interrupts it, and demands the exit code:
// interrupt N PATTERN ARGS... What it wrote is then in the files stdout and stderr.
func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt N PATTERN args...")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	self, err := os.Executable()
	ts.Check(err)
	cmd := exec.Command(self)
	cmd.Args = append([]string{"ssegauge"}, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	matched := make(chan struct{})
	var once sync.Once
	var wrote [2]bytes.Buffer
	var readers sync.WaitGroup
	for i, pipe := range []func() (io.ReadCloser, error){cmd.StdoutPipe, cmd.StderrPipe} {
		r, err := pipe()
		ts.Check(err)
		readers.Go(func() {
			for lines := bufio.NewScanner(r); lines.Scan(); {
				fmt.Fprintln(&wrote[i], lines.Text())
				if pattern.Match(lines.Bytes()) {
					once.Do(func() { close(matched) })
				}
			}
		})
	}
	ts.Check(cmd.Start())
	select {
	case <-matched:
	case <-time.After(time.Minute):
		cmd.Process.Kill()
		ts.Fatalf("no line matched %q within a minute", args[1])
	}
	ts.Check(cmd.Process.Signal(os.Interrupt))
	readers.Wait()
	cmd.Wait()
	for i, name := range []string{"stdout", "stderr"} {
		ts.Check(os.WriteFile(ts.MkAbs(name), wrote[i].Bytes(), 0o644))
	}
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s; stdout: %s; stderr: %s", got, args[0], wrote[0].Bytes(), wrote[1].Bytes())
	}
}

// cmdReplays demands that a recording replays to the verdicts of a report in CSV: replays N REPORT RECORDING, N the exit code. A replay goes by the clock, as the run did; on a machine
// too busy to keep up something comes too late, and a check that wants to see it again is undecided. So it may take three times, not more.
func cmdReplays(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replays N report.csv recording")
	}
	want := verdicts(ts, ts.ReadFile(args[1]))
	for try := 1; ; try++ {
		cmdExitCode(ts, false, []string{args[0], "ssegauge", "check", "--replay", args[2], "--quiet", "--format", "csv", "--report", "text=again.txt"})
		got := verdicts(ts, ts.ReadFile("stdout"))
		if slices.Equal(got, want) {
			return
		}
		if try == 3 {
			ts.Fatalf("recorded: %q\nreplayed: %q", want, got)
		}
	}
}

// verdicts are the ids of a report in CSV with their verdicts.
func verdicts(ts *testscript.TestScript, report string) (all []string) {
	rows, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	ts.Check(err)
	for _, row := range rows {
		all = append(all, row[0]+" "+row[1])
	}
	return all
}

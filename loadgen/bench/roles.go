//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The roles are the baselines, each in a process of its own so that what it costs can be told.

// opened and outcome are what a receiving role says: the first when all its streams are open, the second when its stdin ends.
type opened struct {
	Opened  int
	Seconds float64
}

type outcome struct {
	Received int64
	P50, P99 float64 // of the send times that events carry, us; 0 where they carry none
}

func play(args []string) error {
	f := flag.NewFlagSet("role", flag.ContinueOnError)
	url := f.String("url", "", "of the streams")
	proto := f.String("http", "1.1", "1.1 or h2c")
	n := f.Int("streams", 1, "how many")
	perConn := f.Int("per-conn", 100, "HTTP/2 streams a connection")
	every := f.Duration("every", 100*time.Millisecond, "between events")
	events := f.Int("events", 0, "how many")
	wait := f.Int("wait", 0, "streams to wait for before the first event")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	raiseFiles()
	switch args[0] {
	case "nethttp":
		return netHTTP(*url, *proto, *n)
	case "floor":
		return floor(*url, *proto, *n, *perConn)
	case "stamper":
		return stamper(*wait, *events, *every)
	case "spin":
		return spin()
	}
	return fmt.Errorf("no role %q", args[0])
}

func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// untilTold waits for the end of stdin.
func untilTold() { _, _ = io.Copy(io.Discard, os.Stdin) }

// spin takes a processor away.
func spin() error {
	for x := 0; ; x++ {
		if x < 0 {
			return errors.New("the counter overflowed")
		}
	}
}

// netHTTP is the client that everyone writes: net/http, a goroutine for each stream, and a Scanner; an event's time is when its data line was scanned.
func netHTTP(url, proto string, n int) error {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(proto == "1.1")
	tr.Protocols.SetUnencryptedHTTP2(proto == "h2c")
	if proto == "h2c" {
		// Otherwise a hundred requests at once find no connection yet and each make one.
		tr.HTTP2 = &http.HTTP2Config{}
	}
	client := &http.Client{Transport: tr}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var count, received atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var delays []float64
	begun := time.Now()
	slots := make(chan struct{}, 256)
	for range n {
		slots <- struct{}{}
		all.Go(func() {
			r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
			if err != nil {
				panic(err)
			}
			r.Header.Set("Accept", "text/event-stream")
			resp, err := client.Do(r)
			<-slots
			if err != nil {
				return
			}
			defer resp.Body.Close()
			count.Add(1)
			scan := bufio.NewScanner(resp.Body)
			data := ""
			var own []float64
			for scan.Scan() {
				line := scan.Text()
				if d, ok := strings.CutPrefix(line, "data:"); ok {
					if at := stamp([]byte(d)); at > 0 {
						own = append(own, float64(time.Now().UnixNano()-at)/1e3)
					}
					data += strings.TrimPrefix(d, " ")
				} else if line == "" && data != "" {
					received.Add(1)
					data = ""
				}
			}
			mu.Lock()
			delays = append(delays, own...)
			mu.Unlock()
		})
	}
	for end := time.Now().Add(2 * time.Minute); count.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if err := say(opened{int(count.Load()), time.Since(begun).Seconds()}); err != nil {
		return err
	}
	untilTold()
	cancel()
	all.Wait()
	p50, p99 := spread(delays)
	return say(outcome{received.Load(), p50, p99})
}

// stamp is the send time that an event carries, as `"sent_ns":N` in its data, or 0.
func stamp(data []byte) int64 {
	_, rest, ok := bytes.Cut(data, []byte(`"sent_ns":`))
	if !ok {
		return 0
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, _ := strconv.ParseInt(string(rest[:end]), 10, 64)
	return n
}

// spread is the median and the 99th percentile.
func spread(v []float64) (p50, p99 float64) {
	if len(v) == 0 {
		return 0, 0
	}
	slices.Sort(v)
	return v[len(v)/2], v[min(len(v)-1, len(v)*99/100)]
}

// stamper is a server of HTTP/1.1 event streams that does as little as can be: when wait streams are there it sends each event to all of them, one write each, in an
// order that has nothing to do with whose they are, with the time at which it began with the event.
func stamper(wait, events int, every time.Duration) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := http.ReadRequest(bufio.NewReaderSize(c, 1024)); err != nil {
					c.Close()
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
				mu.Lock()
				conns = append(conns, c)
				mu.Unlock()
			}()
		}
	}()
	there := func() []net.Conn {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(conns)
	}
	for end := time.Now().Add(time.Minute); len(there()) < wait; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d streams came", len(there()), wait)
		}
	}
	time.Sleep(2 * time.Second)
	to := there()
	rand.Shuffle(len(to), func(i, k int) { to[i], to[k] = to[k], to[i] })
	tick := time.NewTicker(every)
	for n := range events {
		<-tick.C
		event := fmt.Appendf(nil, "id: %d\ndata: {\"seq\":%d,\"sent_ns\":%d}\n\n", n+1, n, time.Now().UnixNano())
		for _, c := range to {
			_, _ = c.Write(event)
		}
	}
	untilTold()
	return nil
}

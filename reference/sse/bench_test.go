package sse

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	peersse "github.com/tmaxmax/go-sse"
)

// corpora are the streams of the benchmarks, about 1 MiB each.
func corpora() map[string][]byte {
	make1 := func(one func(i int) string) []byte {
		var b bytes.Buffer
		for i := 0; b.Len() < 1<<20; i++ {
			b.WriteString(one(i))
		}
		return b.Bytes()
	}
	data := strings.Repeat("0123456789", 10)
	token := `{"choices":[{"delta":{"content":"` + strings.Repeat("x", 165) + `"}}]}`
	fields := func(i int) string { return fmt.Sprintf("id: %d\nevent: update\ndata: %s\n\n", i, data) }
	return map[string][]byte{
		"id-event-data100":      make1(fields),
		"id-event-data100-crlf": make1(func(i int) string { return strings.ReplaceAll(fields(i), "\n", "\r\n") }),
		"token200":              make1(func(int) string { return "data: " + token + "\n\n" }),
		"data-lines4":           make1(func(int) string { return strings.Repeat("data: "+data[:50]+"\n", 4) + "\n" }),
	}
}

const benchChunk = 64 << 10

func runOurs(b []byte) (events int) {
	var d Decoder
	var ev Event
	for len(b) > 0 {
		chunk := b[:min(len(b), benchChunk)]
		b = b[len(chunk):]
		for {
			n, ok, err := d.Next(chunk, &ev)
			if err != nil {
				panic(err)
			}
			if !ok {
				break
			}
			chunk = chunk[n:]
			events++
		}
	}
	d.Reset(false)
	return events
}

func runLineScan(b []byte) (lines int) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return lines
		}
		lines++
		b = b[i+1:]
	}
}

func runScanner(b []byte) (lines int) {
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(make([]byte, 0, benchChunk), benchChunk)
	for s.Scan() {
		lines++
	}
	return lines
}

func runGoSSE(b []byte) (events int) {
	for _, err := range peersse.Read(bytes.NewReader(b), nil) {
		if err != nil {
			panic(err)
		}
		events++
	}
	return events
}

// BenchmarkDecode runs the contenders in turns on the same bytes and reports the
// throughput of each and the ratio of ours to theirs. The best round counts: on a shared machine the others measure
// the neighbours. The time per operation is that of a round of all four.
func BenchmarkDecode(b *testing.B) {
	contenders := []struct {
		name string
		run  func([]byte) int
	}{{"ours", runOurs}, {"linescan", runLineScan}, {"scanner", runScanner}, {"go-sse", runGoSSE}}
	for name, corpus := range corpora() {
		b.Run(name, func(b *testing.B) {
			best := [4]time.Duration{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, c := range contenders {
					start := time.Now()
					if c.run(corpus) == 0 {
						b.Fatal(c.name, "found nothing")
					}
					best[i] = min(best[i], time.Since(start))
				}
			}
			for i, c := range contenders {
				b.ReportMetric(float64(len(corpus))/1e6/best[i].Seconds(), c.name+"-MB/s")
				if i > 0 {
					b.ReportMetric(float64(best[i])/float64(best[0]), "x-"+c.name)
				}
			}
		})
	}
}

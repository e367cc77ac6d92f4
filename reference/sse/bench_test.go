package sse

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
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

func runOurs(b []byte) (events int) { return runInChunks(b, benchChunk) }

// runSegments feeds what one TCP segment on Ethernet carries, so that most segments cut an event.
func runSegments(b []byte) (events int) { return runInChunks(b, 1448) }

func runInChunks(b []byte, size int) (events int) {
	var d Decoder
	var ev Event
	for len(b) > 0 {
		chunk := b[:min(len(b), size)]
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

// runScanner is the loop that everyone writes: LF only, one line at a time, prefixes.
func runScanner(b []byte) (events int) {
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(make([]byte, 0, benchChunk), benchChunk)
	var id, typ, data string
	for s.Scan() {
		line := s.Text()
		switch {
		case line == "":
			if data != "" {
				events++
			}
			typ, data = "", ""
		case strings.HasPrefix(line, "data:"):
			data += strings.TrimPrefix(line[5:], " ")
		case strings.HasPrefix(line, "event:"):
			typ = strings.TrimPrefix(line[6:], " ")
		case strings.HasPrefix(line, "id:"):
			id = strings.TrimPrefix(line[3:], " ")
		}
	}
	_, _ = id, typ
	return events
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
// the neighbours. The time per operation is that of a round of all.
func BenchmarkDecode(b *testing.B) {
	contenders := []struct {
		name string
		run  func([]byte) int
	}{{"ours", runOurs}, {"linescan", runLineScan}, {"scanner", runScanner}, {"go-sse", runGoSSE}, {"ours-in-segments", runSegments}}
	all := corpora()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		corpus := all[name]
		b.Run(name, func(b *testing.B) {
			best := slices.Repeat([]time.Duration{math.MaxInt64}, len(contenders))
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

// BenchmarkEventPerFeed is the life of a stream under load: each read brings one
// event, whole or in two halves.
func BenchmarkEventPerFeed(b *testing.B) {
	event := []byte("id: 123456\nevent: update\ndata: " + strings.Repeat("0123456789", 10) + "\n\n")
	for name, chunks := range map[string][][]byte{"whole": {event}, "halves": {event[:70], event[70:]}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(event)))
			var d Decoder
			var ev Event
			for b.Loop() {
				events := 0
				for _, c := range chunks {
					for {
						n, ok, _ := d.Next(c, &ev)
						if !ok {
							break
						}
						c = c[n:]
						events++
					}
				}
				if events != 1 {
					b.Fatal(events)
				}
			}
		})
	}
}

package limits_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ssegauge/reports/result"
)

// gathers makes a stream of whole multiples of n bytes.
func gathers(n int) func(*feed) {
	return func(f *feed) {
		var held []byte
		for data := range f.next {
			held = append(held, "id: 1\ndata: "+data+"\n\n"...)
			if whole := len(held) / n * n; whole > 0 {
				f.w.Write(held[:whole])
				f.flush()
				held = held[whole:]
			}
		}
	}
}

// fills makes a stream through a buffer of n bytes that begins anew with every event: what fills it leaves, and the rest too where it is small or more comes.
func fills(n int) func(*feed) {
	return each(func() func(f *feed, data string) bool {
		rests := map[*feed]string{}
		return func(f *feed, data string) bool {
			data = rests[f] + "data: " + data + "\n\n"
			full := len(data) / n * n
			if rests[f] != "" || full == 0 {
				full = len(data)
			}
			io.WriteString(f.w, data[:full])
			f.flush()
			rests[f] = data[full:]
			return true
		}
	}())
}

// batches makes a stream of n events at a time.
func batches(n int) func(*feed) {
	return func(f *feed) {
		held := 0
		for data := range f.next {
			io.WriteString(f.w, "data: "+data+"\n\n")
			if held++; held%n == 0 {
				f.flush()
			}
		}
	}
}

// ticks makes a stream of what there is every so often, or when net/http's buffer of 4 KiB is full.
func ticks(d time.Duration) func(*feed) {
	return func(f *feed) {
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-f.gone:
				return
			case data := <-f.events:
				io.WriteString(f.w, "data: "+data+"\n\n")
			case <-tick.C:
				f.flush()
			}
		}
	}
}

// TestBuffering wants what a server holds back: bytes, events or for how long, and from a server that does none of it nothing.
func TestBuffering(t *testing.T) {
	for _, tt := range []struct {
		name  string
		serve *planted
		want  map[string]float64 // id: how much, 0 where there is none, below 0 where only ends of events are held
		says  string             // by one of them
	}{
		{"8 KiB", &planted{stream: gathers(8 << 10)}, map[string]float64{"buffering/size": 8 << 10}, ""},
		{"256 bytes", &planted{stream: gathers(256)}, map[string]float64{"buffering/size": 256}, ""},
		{"512 KiB in small events", &planted{stream: gathers(512 << 10), accept: func(data string) int {
			if len(data) > 20<<10 {
				return 413
			}
			return 200
		}}, map[string]float64{"buffering/size": 512 << 10}, ""},
		{"from a proxy", &planted{stream: gathers(4 << 10), head: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Server", "nginx/1.26") }}, map[string]float64{"buffering/size": 4 << 10}, "proxy_buffering off"},
		{"the head too", &planted{late: true, head: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Via", "1.1 p") }, stream: gathers(8 << 10)}, map[string]float64{"buffering/size": 8 << 10}, "not even the head of the response with its"},
		{"the head alone", &planted{late: true, stream: each(func(f *feed, data string) bool { f.event(data); return true })}, map[string]float64{"buffering/size": 0}, "the head of the response comes with the first"},
		{"one late", &planted{stream: func(f *feed) {
			before := ""
			for data := range f.next {
				if before != "" {
					f.event(before)
				}
				before = data
			}
		}}, map[string]float64{"buffering/size": 0, "buffering/events": 1}, "the first one after it is published"},
		{
			"one late for its blank line", &planted{stream: each(func(f *feed, data string) bool { io.WriteString(f.w, "\n\ndata: "+data); f.flush(); return true })},
			map[string]float64{"buffering/size": 0, "buffering/events": 1},
			"the blank line that ends it does not",
		},
		{"batches", &planted{stream: batches(4)}, map[string]float64{"buffering/size": 0, "buffering/events": 3}, ""},
		{"timer", &planted{stream: ticks(2 * time.Second)}, map[string]float64{"buffering/size": 4 << 10, "buffering/delay": 2}, "by themselves after so long"},
		{"slow", &planted{stream: each(func(f *feed, data string) bool {
			time.Sleep(time.Second)
			f.event(data)
			return true
		})}, map[string]float64{"buffering/size": 0}, "they are slow, not held back"},
		{"the end of large events", &planted{stream: fills(4074)}, map[string]float64{"buffering/size": -1}, "an event of 5,000 bytes comes whole only with the next one: 4,074 bytes came, 934 were held; an event of 20,000 bytes comes whole only with the next one: 16,296 bytes came, 3,712 were held"},
		{"large events refused", &planted{stream: fills(4074), accept: func(data string) int {
			if len(data) > 4000 {
				return 413
			}
			return 200
		}}, map[string]float64{"buffering/size": 0}, ""},
		{"large events dropped", &planted{stream: each(func(f *feed, data string) bool {
			if len(data) < 4000 {
				f.event(data)
			}
			return true
		})}, map[string]float64{"buffering/size": 0}, "one of 5,000 bytes did not come, and a small one after it did"},
		{"nothing", &planted{stream: each(func(f *feed, data string) bool { f.event(data); return true })}, map[string]float64{"buffering/size": 0}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := ""
			all := probe(t, "buffering", tt.serve)
			for _, l := range all {
				said += l.Evidence + "\n"
				want, ok := tt.want[l.ID]
				switch {
				case l.ID == "buffering/gzip" && (l.Verdict == result.LimitNotApplicable || tt.serve.late):
				case want < 0 && l.Verdict == result.LimitFound && *l.Low == 934 && *l.High == 3712 && strings.Contains(l.Title, "end"):
				case !ok, want == 0 && l.Verdict != result.LimitNone, want > 0 && !holds(&l, want):
					t.Errorf("%+v; want %v", l, tt.want)
				}
			}
			if len(all) != len(tt.want)+1 || !strings.Contains(said, tt.says) {
				t.Errorf("%+v; want %v and: %s", all, tt.want, tt.says)
			}
		})
	}
}

// TestBufferingPacked wants what a compressor holds back, and nothing of one that is flushed.
func TestBufferingPacked(t *testing.T) {
	for _, flushed := range []bool{true, false} {
		serve := &planted{
			head: func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") == "gzip" {
					w.Header().Set("Content-Encoding", "gzip")
				}
			},
			stream: func(f *feed) {
				if f.w.Header().Get("Content-Encoding") == "" {
					each(func(f *feed, data string) bool { f.event(data); return true })(f)
					return
				}
				z := gzip.NewWriter(f.w)
				for data := range f.next {
					io.WriteString(z, "data: "+data+"\n\n")
					if flushed {
						z.Flush()
					}
					f.flush()
				}
			},
		}
		all := probe(t, "buffering", serve)
		if l := all[1]; all[0].Verdict != result.LimitNone || l.ID != "buffering/gzip" || (l.Verdict == result.LimitNone) != flushed || !flushed && *l.Low < 16<<10 {
			t.Errorf("flushed %v: %+v", flushed, all)
		}
	}
}

// TestBufferingPackedHead wants what a compressor holds back that is never flushed, with the head: never that the target is exhausted.
func TestBufferingPackedHead(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int // what the compressor gathers, in bytes
	}{{"16 KiB", 16 << 10}, {"all", 1 << 30}} {
		t.Run(tt.name, func(t *testing.T) {
			all := probe(t, "buffering", &planted{late: true, stream: func(f *feed) {
				if f.asked.Get("Accept-Encoding") != "gzip" {
					f.flush()
					each(func(f *feed, data string) bool { f.event(data); return true })(f)
					return
				}
				f.w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(f.w)
				held := ""
				for data := range f.next {
					if held += "data: " + data + "\n\n"; len(held) >= tt.size {
						io.WriteString(z, held)
						z.Flush()
						f.flush()
						held = ""
					}
				}
			}})
			l := all[len(all)-1]
			switch {
			case len(all) != 2, all[0].Verdict != result.LimitNone, l.ID != "buffering/gzip", l.Verdict != result.LimitFound:
				t.Fatalf("%+v", all)
			case tt.size == 16<<10 && !holds(&l, float64(tt.size)), tt.size > 1<<20 && (*l.Low != 1<<20 || l.High != nil):
				t.Errorf("%+v", l)
			case !strings.HasPrefix(l.Evidence, "streams are answered without Accept-Encoding: gzip"), strings.Contains(l.Evidence, "workers"):
				t.Error(l.Evidence)
			}
		})
	}
}

package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"ssegauge/reference/sse"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// judge feeds the pieces to a new reader, then the end of the connection, and writes down what it says: one line an item,
// neighbouring content joined, so that the same bytes in other pieces must give the same text.
func judge(r Response, pieces ...[]byte) string {
	var out, body bytes.Buffer
	var bodyAt int64
	say := func(format string, args ...any) {
		if body.Len() > 0 {
			fmt.Fprintf(&out, "body @%d %q\n", bodyAt, body.String())
			body.Reset()
		}
		fmt.Fprintf(&out, format+"\n", args...)
	}
	fields := func(h Header) {
		for _, f := range h {
			say("\t%q: %q", f.Name, f.Value)
		}
	}
	item := func(it *Item) {
		switch it.Kind {
		case None:
		case Interim, Final:
			h := it.Head
			say("%s %d %q HTTP/%s @%d-%d", map[Kind]string{Interim: "interim", Final: "final"}[it.Kind], h.Status, h.Reason, h.Proto, h.Offset, h.End)
			fields(h.Header)
		case Body:
			if body.Len() == 0 {
				bodyAt = it.Offset
			}
			body.Write(it.Data)
		case Trailer:
			say("trailer @%d", it.Offset)
			fields(it.Trailer)
		case End:
			say("end @%d", it.Offset)
		case Broken:
			f := it.Fault
			say("fault %s @%d+%d %s", f.Code, f.Offset, f.Length, f.Detail)
		default:
			say("kind %d", it.Kind)
		}
	}
	ended := func(err error) bool {
		var f *Fault
		var c *CapError
		switch {
		case err == nil:
			return false
		case errors.As(err, &f):
			say("error %s", f.Code)
		case errors.As(err, &c):
			say("error %v", c)
		default:
			say("error %v", err)
		}
		return true
	}
	for _, p := range pieces {
		for idle := 0; ; idle++ {
			var it Item
			n, err := r.Next(p, &it)
			if n > 0 {
				idle = 0
			} else if idle > 1000 { // rather than that memory runs out
				say("a thousand items, and nothing is consumed")
				return out.String()
			}
			if n < 0 || n > len(p) {
				say("consumed %d of %d bytes", n, len(p))
				return out.String()
			}
			item(&it)
			if p = p[n:]; ended(err) {
				if _, again := r.Next(p, &it); again != err || it.Kind != None {
					say("the error does not last: %v, item %d", again, it.Kind)
				}
				return out.String()
			}
			if it.Kind == None {
				break
			}
		}
		if len(p) > 0 && !r.Done() {
			say("left %q", p)
			return out.String()
		}
	}
	for range 3 {
		var it Item
		err := r.EOF(&it)
		item(&it)
		if ended(err) {
			return out.String()
		}
		if it.Kind == None {
			if !r.Done() {
				say("neither done nor in error")
			}
			say("EOF")
			return out.String()
		}
	}
	say("EOF never ends")
	return out.String()
}

// cuts calls f with wire whole, byte by byte, and cut in two at every place.
func cuts(wire []byte, f func(how string, pieces ...[]byte)) {
	f("whole", wire)
	ones := make([][]byte, len(wire))
	for i := range wire {
		ones[i] = wire[i : i+1 : i+1]
	}
	f("byte by byte", ones...)
	for i := 1; i < len(wire); i++ {
		f(fmt.Sprintf("cut at %d", i), wire[:i:i], wire[i:])
	}
}

// A vector is a pair of files in an archive of testdata/response: NAME (what goes over the wire, each line with Go's escapes and nothing between
// the lines; "> HEAD" and "> HTTP/1.0" say what the request was, "> head 100" and the like set a limit) and NAME.want.
func TestResponseVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/response/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	reported := map[FaultCode]bool{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var updated []txtar.File
		for i := 0; i < len(a.Files); i++ {
			name := a.Files[i].Name
			var want string
			if i+1 < len(a.Files) && a.Files[i+1].Name == name+".want" {
				want = string(a.Files[i+1].Data)
			}
			wire, r := parseVector(t, string(a.Files[i].Data))
			if *update {
				want = judge(r, wire)
			}
			updated = append(updated, a.Files[i], txtar.File{Name: name + ".want", Data: []byte(want)})
			if want != "" && i+1 < len(a.Files) && a.Files[i+1].Name == name+".want" {
				i++
			}
			for line := range strings.Lines(want) {
				if code, ok := strings.CutPrefix(line, "fault "); ok {
					code, _, _ = strings.Cut(code, " ")
					reported[FaultCode(code)] = true
				}
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				cuts(wire, func(how string, pieces ...[]byte) {
					if t.Failed() {
						return
					}
					if diff := cmp.Diff(want, judge(r, pieces...)); diff != "" {
						t.Errorf("%s (-want +got):\n%s", how, diff)
					}
				})
			})
		}
		if *update {
			a.Files = updated
			if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, d := range ResponseFaults {
		if !reported[d.Code] {
			t.Errorf("no vector shows %s", d.Code)
		}
	}
}

func parseVector(t *testing.T, text string) ([]byte, Response) {
	t.Helper()
	var wire []byte
	var r Response
	var l Limits
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if option, ok := strings.CutPrefix(line, "> "); ok {
			var n int
			name, value, _ := strings.Cut(option, " ")
			if value != "" {
				n, _ = strconv.Atoi(value)
				r.SetLimits(&l)
			}
			switch name {
			case "HEAD":
				r.ToHead()
			case "HTTP/1.0":
				r.ToHTTP10()
			case "head":
				l.Head = n
			case "fields":
				l.Fields = n
			case "interims":
				l.Interims = n
			case "chunkline":
				l.ChunkLine = n
			case "trailer":
				l.Trailer = n
			default:
				t.Fatalf("option %q", option)
			}
			continue
		}
		s, err := strconv.Unquote(`"` + strings.ReplaceAll(line, `"`, `\"`) + `"`)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		wire = append(wire, s...)
	}
	return wire, r
}

func TestResponseSize(t *testing.T) {
	var r Response
	var both struct {
		r Response
		d sse.Decoder
	}
	if n := unsafe.Sizeof(r); n > 40 {
		t.Errorf("a Response takes %d bytes", n)
	}
	if n := unsafe.Sizeof(both); n > 64 {
		t.Errorf("a Response and a Decoder take %d bytes", n)
	}
}

// Nothing is held and nothing is allocated while content flows.
func TestResponseIdle(t *testing.T) {
	for name, c := range map[string]struct{ head, flow string }{
		"chunked":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8\r\ndata: x\n\r\n1\r\n\n\r\n"},
		"length":      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "data: x\n\n"},
		"until close": {"HTTP/1.1 200 OK\r\n\r\n", "data: x\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Response
			feed := func(p []byte) {
				for {
					var it Item
					n, err := r.Next(p, &it)
					if err != nil || it.Kind == Broken {
						t.Fatal(err, it.Fault)
					}
					if p = p[n:]; it.Kind == None {
						return
					}
				}
			}
			for i := range len(c.head) { // a head in pieces leaves nothing behind
				feed([]byte(c.head[i : i+1]))
			}
			if r.spill != nil {
				t.Error("the head is still held")
			}
			flow := []byte(c.flow)
			if n := testing.AllocsPerRun(100, func() { feed(flow) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if n := testing.AllocsPerRun(100, func() {
				for i := range flow {
					feed(flow[i : i+1])
				}
			}); n != 0 {
				t.Errorf("%v allocations byte by byte", n)
			}
			if r.spill != nil {
				t.Error("something is held between events")
			}
		})
	}
}

// endless feeds p again and again and reports the error and how much was held at most.
func endless(r *Response, first string, p []byte) (held int, err error) {
	in := []byte(first)
	for total := 0; total < 64<<20; {
		var it Item
		n, err := r.Next(in, &it)
		if r.spill != nil {
			held = max(held, cap(r.spill.buf)+len(r.spill.queue)*int(unsafe.Sizeof(it)))
		}
		if err != nil {
			return held, err
		}
		total += n
		if in = in[n:]; it.Kind == None && len(in) == 0 {
			in = p
		}
	}
	return held, nil
}

// Whatever a peer sends without end, memory stays bounded and the reader says that it is enough.
func TestResponseEndless(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	long := bytes.Repeat([]byte("x"), 1<<10)
	for name, c := range map[string]struct {
		first, more string
		what        string
	}{
		"status line":     {"HTTP/1.1 200 ", string(long), "head"},
		"field":           {"HTTP/1.1 200 OK\r\nX: ", string(long), "head"},
		"fields":          {"HTTP/1.1 200 OK\r\n", "a: b\r\n", "head"},
		"fields at once":  {"", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 300) + "\r\n", "fields"},
		"folds at once":   {"", "HTTP/1.1 200 OK\r\na:b\r\n" + strings.Repeat(" b\r\n", 300) + "\r\n", "fields"},
		"interims":        {"", "HTTP/1.1 100 Continue\r\n\r\n", "interim heads"},
		"chunk extension": {chunked + "1;", string(long), "chunk-size line"},
		"chunk zeros":     {chunked, strings.Repeat("0", 1<<10), "chunk-size line"},
		"chunk padding":   {chunked + "1", strings.Repeat(" ", 1<<10), "chunk-size line"},
		"trailer":         {chunked + "0\r\nx: ", string(long), "trailers"},
		"trailers":        {chunked + "0\r\n", "a: b\r\n", "trailers"},
	} {
		t.Run(name, func(t *testing.T) {
			var r Response
			held, err := endless(&r, c.first, []byte(c.more))
			var e *CapError
			if !errors.As(err, &e) || e.What != c.what {
				t.Errorf("error %v, wanted the cap on %s", err, c.what)
			}
			if held > 160<<10 {
				t.Errorf("%d bytes were held", held)
			}
		})
	}
}

// A head of many faults gives a bounded number of them.
func TestResponseFaultFlood(t *testing.T) {
	got := judge(Response{}, []byte("HTTP/1.1 200 OK\r\n"+strings.Repeat("bad line\n", 200)+"\r\n"))
	if n := strings.Count(got, "fault "); n != maxBlockFaults+1 {
		t.Errorf("%d faults:\n%s", n, got)
	}
	if !strings.Contains(got, "168 more faults") {
		t.Errorf("the others are not counted:\n%s", got)
	}
}

// A later response on the connection counts its offsets from where it begins.
func TestResponseStartAt(t *testing.T) {
	var r Response
	r.StartAt(1000)
	if got := judge(r, []byte("HTTP/1.1 204 \r\n\r\n")); !strings.Contains(got, "@1000-1017") {
		t.Error(got)
	}
}

func BenchmarkResponseChunked(b *testing.B) {
	var r Response
	var it Item
	r.Next([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), &it)
	event := []byte("6f\r\nid: 12345\nevent: tick\ndata: " + strings.Repeat("x", 80) + "\n\n\r\n")
	chunk := bytes.Repeat(event, 100)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		for p := chunk; ; {
			n, err := r.Next(p, &it)
			if err != nil {
				b.Fatal(err)
			}
			if p = p[n:]; it.Kind == None {
				break
			}
		}
	}
}

func BenchmarkResponseHead(b *testing.B) {
	head := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nDate: Sun, 22 Nov 2026 06:56:19 GMT\r\nTransfer-Encoding: chunked\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		var r Response
		var it Item
		if _, err := r.Next(head, &it); err != nil || it.Kind != Final {
			b.Fatal(err)
		}
	}
}

func TestFaultUnwrap(t *testing.T) {
	if !errors.Is(&Fault{Code: FaultBodyCut}, io.ErrUnexpectedEOF) || !errors.Is(&Fault{Code: FaultNoResponse}, ErrNoResponse) {
		t.Error("the causes are not found")
	}
}

// The highest cap on interim heads is one too.
func TestResponseInterimsCap(t *testing.T) {
	var r Response
	r.SetLimits(&Limits{Interims: 1000})
	var it Item
	for n := range 300 {
		_, err := r.Next([]byte("HTTP/1.1 103 x\r\n\r\n"), &it)
		var c *CapError
		if errors.As(err, &c) {
			if n != 255 || c.Limit != 255 {
				t.Errorf("%v after %d heads", err, n)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("300 interim heads and no end")
}

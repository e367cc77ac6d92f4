package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzResponse: no panic, the same words whatever the cuts, and what we take for well-formed net/http understands as we do.
func FuzzResponse(f *testing.F) {
	files, _ := filepath.Glob("testdata/response/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, v := range a.Files {
			if strings.HasSuffix(v.Name, ".want") || strings.HasPrefix(string(v.Data), ">") {
				continue
			}
			if wire, _ := parseVector(&testing.T{}, string(v.Data)); len(wire) > 0 {
				f.Add(wire, byte(0), uint16(len(wire)/2))
				f.Add(wire, byte(1), uint16(20))
			}
		}
	}
	f.Fuzz(func(t *testing.T, wire []byte, mode byte, cut uint16) {
		var r Response
		if mode&1 != 0 {
			r.ToHead()
		}
		if mode&2 != 0 {
			r.ToHTTP10()
		}
		whole := judge(r, wire)
		ones := make([][]byte, len(wire))
		for i := range wire {
			ones[i] = wire[i : i+1 : i+1]
		}
		at := min(int(cut), len(wire))
		for how, pieces := range map[string][][]byte{"byte by byte": ones, "cut": {wire[:at:at], nil, wire[at:]}} {
			if diff := cmp.Diff(whole, judge(r, pieces...)); diff != "" {
				t.Fatalf("%s (-whole +cut):\n%s", how, diff)
			}
		}
		if len(whole) > 64*len(wire)+64*256+4096 {
			t.Fatalf("%d bytes make it say %d", len(wire), len(whole))
		}
		if strings.Contains(whole, "fault ") || strings.Contains(whole, "error ") {
			return
		}
		theirs, err := netHTTP(wire, mode&1 != 0)
		if err != nil {
			t.Fatalf("net/http: %v\nwe said:\n%s", err, whole)
		}
		if theirs == "" {
			return
		}
		if diff := cmp.Diff(theirs, plain(wire, r)); diff != "" {
			t.Fatalf("(-net/http +ours):\n%s", diff)
		}
	})
}

// plain is what a message comes down to: status, reason, fields, content, trailers.
func plain(wire []byte, r Response) string {
	var out strings.Builder
	var body []byte
	var trailer Header
	for {
		var it Item
		n, err := r.Next(wire, &it)
		if err != nil {
			return err.Error()
		}
		wire = wire[n:]
		switch it.Kind {
		case Final:
			fmt.Fprintf(&out, "%d %q %v\n", it.Head.Status, it.Head.Reason, sorted(it.Head.Header))
		case Body:
			body = append(body, it.Data...)
		case Trailer:
			trailer = it.Trailer
		case None:
			fmt.Fprintf(&out, "%q\n%v\n", body, sorted(trailer))
			return out.String()
		}
	}
}

func sorted(h Header) string {
	var lines []string
	for _, f := range h {
		// net/http moves these two out of the header.
		if f.Name = http.CanonicalHeaderKey(f.Name); f.Name != "Transfer-Encoding" && f.Name != "Trailer" && f.Name != "Content-Length" {
			lines = append(lines, fmt.Sprintf("%s: %q", f.Name, f.Value))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// netHTTP reads the same message with net/http; "" where it is known to be narrower than the RFC.
func netHTTP(wire []byte, head bool) (string, error) {
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	in := bufio.NewReader(bytes.NewReader(wire))
	for {
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			if s := err.Error(); strings.Contains(s, "transfer encoding") || strings.Contains(s, "bad trailer key") {
				return "", nil // empty list elements, and Trailer naming a framing field
			}
			return "", err
		}
		if resp.StatusCode < 200 && resp.StatusCode >= 100 {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			if s := err.Error(); strings.Contains(s, "chunk length too large") || strings.Contains(s, "too much non-data") || strings.Contains(s, "header line too long") ||
				strings.Contains(s, "invalid byte in chunk length") && (bytes.Contains(wire, []byte(" ;")) || bytes.Contains(wire, []byte("\t;"))) {
				return "", nil // leading zeros beyond 16 digits, many extensions, white space before one
			}
			return "", err
		}
		list := func(h http.Header) string {
			var flat Header
			for k, vv := range h {
				for _, v := range vv {
					flat = append(flat, Field{k, v})
				}
			}
			return sorted(flat)
		}
		_, reason, _ := strings.Cut(resp.Status, " ")
		return fmt.Sprintf("%d %q %v\n%q\n%v\n", resp.StatusCode, reason, list(resp.Header), body, list(resp.Trailer)), nil
	}
}

package hostile

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"ssegauge/reports"
)

// sgr is how text is coloured.
var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestHostileReports: whatever a target sends, no form of the report does anything but show it.
func TestHostileReports(t *testing.T) {
	program := build(t)
	dir := t.TempDir()
	url := startHostile(t, answering(hostileMarkup))
	args := []string{"check", url + "/", "--window", "2s"}
	for _, f := range reports.Formats() {
		args = append(args, "--report", f.Name+"="+filepath.Join(dir, f.Name))
	}
	start(t, program, args...).wait(t, window+beyond)

	for _, f := range reports.Formats() {
		t.Run(f.Name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, f.Name))
			if err != nil {
				t.Fatal(err)
			}
			if len(b) == 0 {
				t.Fatal("it is empty")
			}
			var o output
			if o.Write(b); o.raw != "" {
				t.Errorf("a control character of the target came through: %s", o.raw)
			}
			if err := harmless[f.Name](b); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("coloured", func(t *testing.T) {
		var texts []string
		for _, color := range []string{"never", "always"} {
			r := start(t, program, "report", filepath.Join(dir, "json"), "--color", color)
			<-r.done
			texts = append(texts, string(r.out.start))
		}
		if texts[0] == "" || texts[1] == texts[0] || sgr.ReplaceAllString(texts[1], "") != texts[0] {
			t.Errorf("colours are not all that tells these apart:\n%q\n%q", texts[0], texts[1])
		}
	})
}

// harmless tells by format what in a report would be more than text.
var harmless = map[string]func([]byte) error{
	"text":        func([]byte) error { return nil }, // control characters are all that a terminal obeys
	"json":        oneJSON,
	"sarif":       oneJSON,
	"openmetrics": func([]byte) error { return nil },
	"hdr":         func([]byte) error { return nil },
	"ndjson": func(b []byte) error {
		for line := range bytes.Lines(b) {
			if err := oneJSON(line); err != nil {
				return err
			}
		}
		return nil
	},
	"junit": func(b []byte) error {
		for d := xml.NewDecoder(bytes.NewReader(b)); ; {
			if _, err := d.Token(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
	},
	"html": func(b []byte) error {
		for z := html.NewTokenizer(bytes.NewReader(b)); ; {
			kind := z.Next()
			if kind == html.ErrorToken {
				if errors.Is(z.Err(), io.EOF) {
					return nil
				}
				return z.Err()
			}
			token := z.Token()
			for _, a := range token.Attr {
				if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
					return fmt.Errorf("a page that acts: %s", token)
				}
			}
			if (kind == html.StartTagToken || kind == html.SelfClosingTagToken) && (token.Data == "img" || token.Data == "iframe" || token.Data == "x") {
				return fmt.Errorf("an element of the target's: %s", token)
			}
			if kind == html.StartTagToken && token.Data == "script" {
				if z.Next(); bytes.Contains(z.Text(), []byte("alert")) {
					return fmt.Errorf("a script of the target's: %s", z.Text())
				}
			}
		}
	},
	"markdown": func(b []byte) error { return without(outsideCode(b), "<script", "<img", "<x/>", "](javascript:") },
	"csv": func(b []byte) error {
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+@\t\r") {
					return fmt.Errorf("a formula: %q", cell)
				}
			}
		}
		return err
	},
	"github": func(b []byte) error {
		for line := range bytes.Lines(b) {
			text := string(bytes.TrimSpace(line))
			// The runner obeys "::" at the start of a line, and "##[" anywhere in one that does not start so.
			if command, ours := strings.CutPrefix(text, "::"); ours && !annotation.MatchString(command) || !ours && strings.Contains(text, "##[") {
				return fmt.Errorf("a command of the target's: %s", text)
			}
		}
		return nil
	},
}

var annotation = regexp.MustCompile(`^(error|warning|notice)( |::)`)

// outsideCode leaves out what stands in fences and in spans of code, which Markdown shows as it is.
func outsideCode(b []byte) []byte {
	var out []byte
	fence := ""
	for line := range bytes.Lines(b) {
		ticks := regexp.MustCompile("^`{3,}").FindString(string(line))
		switch {
		case fence == "" && ticks != "":
			fence = ticks
		case fence != "" && len(ticks) >= len(fence) && strings.Trim(string(line), "`\n") == "":
			fence = ""
		case fence == "":
			out = append(out, regexp.MustCompile("(`+)[^`].*?[^`]?(`+)").ReplaceAll(line, nil)...)
		}
	}
	return out
}

func oneJSON(b []byte) error {
	var v any
	return json.Unmarshal(b, &v)
}

func without(b []byte, texts ...string) error {
	for _, text := range texts {
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			return fmt.Errorf("%q stands in it: %q", text, b[max(0, i-60):min(len(b), i+60)])
		}
	}
	return nil
}

// TestSecrets: no credential stands in any output, whether the user gave it, the target did, or the target sends back what the user gave.
func TestSecrets(t *testing.T) {
	program := build(t)
	dir := t.TempDir()
	help, _ := exec.Command(program, "check", "--help").Output()
	recorded := bytes.Contains(help, []byte("--record"))
	for name, peer := range map[string]func(net.Conn, *http.Request){
		"echo": func(c net.Conn, r *http.Request) {
			seen := r.Header.Get("Authorization") + " " + r.Header.Get("Cookie") + " " + r.URL.RawQuery
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=%q\r\nSet-Cookie: session=S3CRET-of-target; HttpOnly\r\nX-Seen: %s\r\n\r\n", seen, seen)
			fmt.Fprintf(c, "retry: %s\nid: %s\ndata: \xff %s\n%s\nevent\x00: %s\n\nData: %s", seen, seen, seen, seen, seen, seen)
		},
		"broken head": func(c net.Conn, r *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nSet-Cookie: session=S3CRET-of-target\r\nno field\r\nX-Seen: %s\r\n\r\n", r.Header.Get("Authorization"))
		},
		"broken status": func(c net.Conn, r *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 2x0 %s\r\nSet-Cookie: session=S3CRET-of-target\r\n\r\n", r.Header.Get("Cookie"))
		},
		"redirect": func(c net.Conn, r *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 307 X\r\nSet-Cookie: session=S3CRET-of-target\r\nLocation: ftp://user:S3CRET-of-location@host/?token=S3CRET-of-location\r\n\r\n")
		},
		"refusal": func(c net.Conn, r *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 401 %s\r\nSet-Cookie: session=S3CRET-of-target\r\nWWW-Authenticate: Basic realm=%q\r\n\r\nnot with %s", r.Header.Get("Cookie"), r.Header.Get("Authorization"), r.Header.Get("Authorization"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := startHostile(t, answering(peer))
			host := strings.TrimPrefix(url, "http://")
			args := []string{
				"check", "http://user:S3CRET-of-userinfo@" + host + "/events?token=S3CRET-of-token&access_token=S3CRET-of-access", "--window", "2s", "--timeout", "2s",
				"-H", "Authorization: Bearer S3CRET-of-bearer", "-H", "Cookie: sid=S3CRET-of-cookie; theme=dark",
				"--publish", "POST http://u:S3CRET-of-publish-user@" + host + "/publish?api_key=S3CRET-of-publish-key", "--publish-header", "X-Api-Key: S3CRET-of-publish-header",
				"--other-url", url + "/other?token=S3CRET-of-other", "--other-header", "Authorization: Bearer S3CRET-of-other-header",
				"--gauge-url", url + "/gauge?token=S3CRET-of-gauge", "--gauge-header", "Authorization: Bearer S3CRET-of-gauge-header", "--gauge-pointer", "/n",
			}
			for _, f := range reports.Formats() {
				args = append(args, "--report", f.Name+"="+filepath.Join(dir, f.Name))
			}
			if recorded {
				args = append(args, "--record", filepath.Join(dir, "record"))
			}
			r := start(t, program, args...)
			r.wait(t, window+beyond)
			said := map[string][]byte{"stdout": r.out.start, "stderr": r.errs.start}
			for _, f := range reports.Formats() {
				said[f.Name], _ = os.ReadFile(filepath.Join(dir, f.Name))
			}
			said["record"], _ = os.ReadFile(filepath.Join(dir, "record"))
			if name != "echo" { // what watch shows of a stream is the stream
				for _, command := range []string{"watch", "load"} {
					args := []string{command, args[1], "-H", "Authorization: Bearer S3CRET-of-bearer", "-H", "Cookie: sid=S3CRET-of-cookie", "--duration", "1s"}
					r := start(t, program, args...)
					r.wait(t, beyond)
					said[command+" stdout"], said[command+" stderr"] = r.out.start, r.errs.start
				}
			}
			for where, b := range said {
				if err := without(b, "S3CRET", "dXNlcjpTM0NSRVQ"); err != nil { // the latter in base64
					t.Errorf("%s: %v", where, err)
				}
			}
		})
	}
}

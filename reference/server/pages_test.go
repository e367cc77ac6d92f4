package server

import (
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"
)

// TestPagesStandAlone holds that a page needs nothing but this server, and nothing that its policy forbids.
func TestPagesStandAlone(t *testing.T) {
	w := newWorld(t, "1.1", Config{})
	reference := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	seen := map[string]bool{}
	var visit func(string)
	visit = func(url string) {
		if seen[url] || strings.HasPrefix(url, "/scenario/") && url != "/scenario/" || url == "/stats" || url == "/metrics" || url == "/healthz" {
			return
		}
		seen[url] = true
		res := w.do(t.Context(), "GET", url, "")
		body := w.text(res)
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'") || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", url, res.StatusCode, res.Header)
		}
		if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
			return
		}
		if strings.Contains(body, "{{") || strings.Contains(body, "style=") || regexp.MustCompile(`<script[^>]*>[^<]|\son[a-z]+=`).MatchString(body) {
			t.Errorf("%s holds inline script or style, or a placeholder", url)
		}
		for _, m := range reference.FindAllStringSubmatch(body, -1) {
			if !strings.HasPrefix(m[1], "/") {
				t.Errorf("%s refers to %s", url, m[1])
				continue
			}
			visit(m[1])
		}
	}
	visit("/")
	err := fs.WalkDir(pageFiles, "pages", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(p) != ".html" && p != "pages/stream.js" && !seen["/"+p] {
			t.Errorf("no page uses %s", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, url := range []string{"/pages/", "/pages/nothing", "/pages/..%2fserver.go", "/pages/vendor", "/nothing"} {
		res := w.do(t.Context(), "GET", url, "")
		if w.text(res); res.StatusCode != 404 {
			t.Errorf("%s: %d", url, res.StatusCode)
		}
	}
}

package server

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// The pages, and htmx with its sse extension, are part of the binary: no page asks another host for anything.
//
//go:embed pages
var pageFiles embed.FS

// pageLinks are the pages in the order of their navigation.
var pageLinks = []struct{ path, file, title string }{
	{"/", "index.html", "Live"},
	{"/pages/eventsource", "eventsource.html", "EventSource"},
	{"/pages/htmx", "htmx.html", "htmx"},
	{"/pages/fetch", "fetch.html", "fetch"},
	{"/pages/temperature", "temperature.html", "Above 20"},
	{"/scenario/", "", "Scenarios"},
}

var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
}

// pageHead forbids a page all that it does not need: scripts and styles are files of this server, and only it is spoken to.
func pageHead(h http.Header, mediaType string) {
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// page serves "/", the pages below /pages/ by their names without .html, and the files they need.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/pages/")
	for _, l := range pageLinks {
		if l.path == r.URL.Path {
			name = l.file
		}
	}
	body, err := fs.ReadFile(pageFiles, path.Join("pages", path.Clean("/"+name)))
	mediaType, known := mediaTypes[path.Ext(name)]
	if err != nil || !known {
		fail(w, http.StatusNotFound, "no such page")
		return
	}
	pageHead(w.Header(), mediaType)
	_, _ = w.Write(bytes.Replace(body, []byte("{{nav}}"), []byte(navigation(r.URL.Path)), 1))
}

func navigation(here string) string {
	var b strings.Builder
	b.WriteString(`<header class="bar"><nav aria-label="Pages"><strong><a href="/">ssegauge</a></strong>`)
	for _, l := range pageLinks {
		current := ""
		if l.path == here {
			current = ` aria-current="page"`
		}
		b.WriteString(`<a href="` + l.path + `"` + current + `>` + html.EscapeString(l.title) + `</a>`)
	}
	b.WriteString("</nav></header>")
	return b.String()
}

package server

import (
	"net/http"
	"strconv"
	"strings"
)

// acceptsEventStream tells whether the Accept field leaves room for text/event-stream (RFC 9110 12.5.1): no field
// means anything; the most specific range that matches decides, and a weight of 0 excludes. A field that cannot be parsed does not exclude.
func acceptsEventStream(h http.Header) bool {
	values := h.Values("Accept")
	if len(values) == 0 {
		return true
	}
	best, ok, any := -1, false, false
	for _, value := range values {
		for item := range listItems(value) {
			any = true
			mediaRange, params, _ := strings.Cut(item, ";")
			specific := -1
			switch strings.ToLower(strings.TrimSpace(mediaRange)) {
			case "text/event-stream":
				specific = 2
			case "text/*":
				specific = 1
			case "*/*", "*": // the second is what some old clients mean by the first
				specific = 0
			default:
				continue
			}
			if specific >= best {
				accepted := weight(params) > 0
				// The same range twice (with other parameters): one that accepts is enough.
				ok = accepted || (specific == best && ok)
				best = specific
			}
		}
	}
	return ok || !any
}

// namesEventStream tells whether the Accept field names text/event-stream itself, as EventSource's does.
func namesEventStream(h http.Header) bool {
	for _, value := range h.Values("Accept") {
		for item := range listItems(value) {
			mediaRange, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(mediaRange), "text/event-stream") && weight(params) > 0 {
				return true
			}
		}
	}
	return false
}

// acceptsGzip tells whether gzip was asked for (RFC 9110 12.5.3). No field, or only "*", gets identity: nobody asked.
func acceptsGzip(h http.Header) bool {
	gzip, identity := 0.0, -1.0
	for _, value := range h.Values("Accept-Encoding") {
		for item := range listItems(value) {
			coding, params, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				gzip = weight(params)
			case "identity":
				identity = weight(params)
			}
		}
	}
	return gzip > 0 && gzip >= identity
}

// listItems yields the items of a comma-separated field value; commas within quoted strings do not separate.
func listItems(value string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i <= len(value); i++ {
			if i < len(value) {
				switch c := value[i]; {
				case quoted && c == '\\':
					i++
					continue
				case c == '"':
					quoted = !quoted
					continue
				case c != ',' || quoted:
					continue
				}
			}
			if item := strings.TrimSpace(value[start:min(i, len(value))]); item != "" && !yield(item) {
				return
			}
			start = i + 1
		}
	}
}

// weight is the q parameter; 1 where it is absent or malformed.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || q < 0 || q > 1 {
			return 1
		}
		return q
	}
	return 1
}

package conformance

import (
	"strings"

	"ssegauge/reference/wire"
)

// MediaType is the essence of a head's media type in lower case, and the field value that it stands in, both as browsers find them (Fetch, "extract a MIME type"): of
// several values, in several fields or between commas, the last one that can be read counts. Parameters that cannot be read take nothing from it. Where no value can be
// read it is the last one as it stands; "" where there is none.
func MediaType(h *wire.Head) (essence, value string) {
	found := false
	for _, field := range h.Header.Values("Content-Type") {
		for _, v := range listed(field) {
			one, _, _ := strings.Cut(v, ";")
			one = strings.ToLower(strings.Trim(one, " \t"))
			typ, sub, _ := strings.Cut(one, "/")
			readable := wire.IsToken(typ) && wire.IsToken(sub) && one != "*/*"
			if readable || !found {
				essence, value, found = one, v, found || readable
			}
		}
	}
	return essence, value
}

// listed splits a field value at the commas that stand outside of quotation marks.
func listed(v string) []string {
	var parts []string
	from, quoted := 0, false
	for i := 0; i < len(v); i++ {
		switch {
		case v[i] == '"':
			quoted = !quoted
		case v[i] == '\\' && quoted:
			i++
		case v[i] == ',' && !quoted:
			parts = append(parts, strings.Trim(v[from:i], " \t"))
			from = i + 1
		}
	}
	return append(parts, strings.Trim(v[from:], " \t"))
}

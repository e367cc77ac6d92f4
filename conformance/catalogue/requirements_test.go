package catalogue_test

import (
	"slices"
	"strings"
	"testing"

	"ssegauge/conformance/catalogue"
)

// A set names checks that there are: an id is never taken back.
func TestSets(t *testing.T) {
	names := catalogue.Sets()
	if !slices.Contains(names, "2026.1") || !slices.IsSorted(names) {
		t.Errorf("sets %v", names)
	}
	for _, name := range names {
		ids, err := catalogue.Set(name)
		if err != nil || len(ids) < 100 || !slices.IsSorted(ids) {
			t.Errorf("%s: %d ids, error %v", name, len(ids), err)
		}
		for _, id := range ids {
			if _, ok := catalogue.Lookup(id); !ok {
				t.Errorf("%s names %s, which is gone", name, id)
			}
			if catalogue.Since(id) == "" {
				t.Errorf("%s is in %s and in none", id, name)
			}
		}
	}
	if since := catalogue.Since("http/status"); since != "2026.1" {
		t.Errorf("http/status since %q", since)
	}
	if since := catalogue.Since("http/tomorrow"); since != "" {
		t.Errorf("what is not there yet is in %q", since)
	}
	if _, err := catalogue.Set("1999.1"); err == nil || !strings.Contains(err.Error(), "2026.1") {
		t.Errorf("error %v", err)
	}
}

package catalogue_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/reports/result"
)

// The ids are a contract with users' baselines: none may vanish, be renamed or be used twice.
func TestIDs(t *testing.T) {
	b, err := os.ReadFile("testdata/ids.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(b))
	var got []string
	for _, c := range catalogue.All() {
		got = append(got, c.ID)
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ids differ from testdata/ids.txt (-want +got):\n%s", d)
	}
	if n := len(slices.Compact(got)); n != len(want) {
		t.Errorf("%d ids, %d of them different", len(want), n)
	}
}

func TestEntries(t *testing.T) {
	levels := []result.Level{result.Must, result.Should, result.Advice, result.Security, result.Contract}
	for _, c := range catalogue.All() {
		if c.Title == "" || c.Clause == "" || c.Needs == 0 || !slices.Contains(levels, c.Level) {
			t.Errorf("%s: title, level, clause and needs belong to every entry: %+v", c.ID, c)
		}
		if c.Level == result.Contract && c.Clause != "no clause; contract" {
			t.Errorf("%s: a contract has no clause, the entry names %q", c.ID, c.Clause)
		}
		if c.Run != nil && (c.Text == "" || c.Why == "" || c.Good == "" || c.Bad == "") {
			t.Errorf("%s: built, but explain has no text, reason, good or bad bytes", c.ID)
		}
		if c.Core && c.Run == nil {
			t.Errorf("%s: of the core set, but not built", c.ID)
		}
	}
}

func TestCoreSet(t *testing.T) {
	want := strings.Fields(`http/status http/content-type http/no-content-length http/head h2/connection-headers encoding/utf8
		framing/terminated framing/field-names id/nul id/header-safe retry/digits live/headers-flushed`)
	var got []string
	for _, c := range catalogue.All() {
		if c.Core {
			got = append(got, c.ID)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("core set (-want +got):\n%s", d)
	}
}

func TestLookup(t *testing.T) {
	if c, ok := catalogue.Lookup("data/multiline"); !ok || c.ID != "data/multiline" {
		t.Errorf("data/multiline not found: %+v", c)
	}
	if _, ok := catalogue.Lookup("data"); ok {
		t.Error("a prefix is not an id")
	}
}

func TestFilter(t *testing.T) {
	checks := []conformance.Check{{ID: "http/status"}, {ID: "http/content-type"}, {ID: "http/content-type/charset"}, {ID: "id/nul"}}
	for _, c := range []struct{ only, skip, want string }{
		{"", "", "http/status http/content-type http/content-type/charset id/nul"},
		{"http/*", "", "http/status http/content-type http/content-type/charset"},
		{"http/*", "http/content-type*", "http/status"},
		{"id/nul http/status", "", "http/status id/nul"},
		{"", "id/???", "http/status http/content-type http/content-type/charset"},
		{"*", "*", ""},
	} {
		got, err := catalogue.Filter(checks, strings.Fields(c.only), strings.Fields(c.skip))
		var ids []string
		for _, k := range got {
			ids = append(ids, k.ID)
		}
		if err != nil || strings.Join(ids, " ") != c.want {
			t.Errorf("only %q skip %q: %v, error %v; want %s", c.only, c.skip, ids, err, c.want)
		}
	}
	for _, glob := range []string{"htpp/*", "[", "http"} {
		if _, err := catalogue.Filter(checks, []string{glob}, nil); err == nil {
			t.Errorf("%q was taken, though it matches nothing", glob)
		}
		if _, err := catalogue.Filter(checks, nil, []string{glob}); err == nil {
			t.Errorf("skip %q was taken, though it matches nothing", glob)
		}
	}
}

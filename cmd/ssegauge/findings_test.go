package main

import (
	"slices"
	"testing"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
	"ssegauge/loadgen/measure"
)

// What load finds by the way is what check finds: the same ids, titles, levels and clauses.
func TestFindingsAreThoseOfTheCatalogue(t *testing.T) {
	for _, f := range measure.Requirements() {
		i := slices.IndexFunc(catalogue.All(), func(c conformance.Check) bool { return c.ID == f.ID })
		if i < 0 {
			t.Errorf("%s is no check", f.ID)
			continue
		}
		if c := catalogue.All()[i]; f.Title != c.Title || f.Level != c.Level || f.Clause != c.Clause {
			t.Errorf("%s: %q, %s, %q; the catalogue has %q, %s, %q", f.ID, f.Title, f.Level, f.Clause, c.Title, c.Level, c.Clause)
		}
	}
}

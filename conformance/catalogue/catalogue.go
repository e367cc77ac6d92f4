// Package catalogue is the list of all requirements: of servers, and of clients. It is a package of its own
// because the checks are written against package conformance, which therefore cannot list them.
//
// It may import conformance and its lists. To add a list: one line in All.
package catalogue

import (
	"fmt"
	"slices"
	"strings"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
)

// All returns every check in the catalogue's order, those that are not built yet (Run is nil) included.
func All() []conformance.Check { return serverchecks.All() }

// Profiles names the optional profiles: "mcp". Nobody is held to one by default.
func Profiles() []string {
	var names []string
	for _, p := range serverchecks.Profiles {
		names = append(names, p.Name)
	}
	return names
}

// InProfiles returns the checks of the named profiles; of all where none is named.
func InProfiles(names ...string) ([]conformance.Check, error) {
	for _, name := range names {
		if !slices.Contains(Profiles(), name) {
			return nil, fmt.Errorf("%q is unknown: %s is right", name, strings.Join(Profiles(), ", "))
		}
	}
	return serverchecks.InProfiles(names...), nil
}

// Everything is All, and the checks of all optional profiles.
func Everything() []conformance.Check { return append(All(), serverchecks.InProfiles()...) }

// Lookup finds a check by its id, in the profiles too.
func Lookup(id string) (conformance.Check, bool) {
	all := Everything()
	i := slices.IndexFunc(all, func(c conformance.Check) bool { return c.ID == id })
	if i < 0 {
		return conformance.Check{}, false
	}
	return all[i], true
}

// Filter keeps the checks whose id matches a glob of only (all, where only is empty) and none of skip. A glob is an id in which *
// stands for any text, "/" included, and ? for one character: "http/*" covers "http/content-type/charset". The order stays.
//
// The error names a glob that is malformed or matches no id: a misspelt id must not pass for a clean run.
func Filter(checks []conformance.Check, only, skip []string) ([]conformance.Check, error) {
	for _, g := range slices.Concat(only, skip) {
		hit := false
		for i := range checks {
			ok, err := conformance.Match(g, checks[i].ID)
			if err != nil {
				return nil, fmt.Errorf("%q is no glob: %w", g, err)
			}
			hit = hit || ok
		}
		if !hit {
			return nil, fmt.Errorf("%q matches no check; `ssegauge list` names them all", g)
		}
	}
	any := func(globs []string, id string) bool {
		return slices.ContainsFunc(globs, func(g string) bool { ok, _ := conformance.Match(g, id); return ok })
	}
	var kept []conformance.Check
	for _, c := range checks {
		if (len(only) == 0 || any(only, c.ID)) && !any(skip, c.ID) {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

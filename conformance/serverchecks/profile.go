package serverchecks

import (
	"slices"

	"ssegauge/conformance"
)

// Profile is what a protocol that is spoken over event streams asks of a server besides. Nobody is held to it who was not asked to be.
type Profile struct {
	Name   string // as --profile-set takes it
	Title  string
	Checks []conformance.Check
}

// Profiles are the optional ones.
var Profiles = []Profile{
	{"mcp", "Model Context Protocol, revision 2025-11-25, streamable HTTP", MCP},
	{"llm", "token streams in the manner of the OpenAI API", LLM},
	{"jakarta", "Jakarta REST", Jakarta},
	{"mercure", "Mercure hubs", Mercure},
}

// InProfiles returns the checks of the named profiles, of all where none is named, in the catalogue's order.
func InProfiles(names ...string) []conformance.Check {
	var checks []conformance.Check
	for _, p := range Profiles {
		if len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		for _, c := range p.Checks {
			c.Profile = p.Name
			checks = append(checks, c)
		}
	}
	return checks
}

package catalogue

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

// A set of requirements is the ids that a release of the catalogue held. It never changes once it was released, so that a target that was held to it is
// held to the same tomorrow; what came later is reported as new and fails nobody.
//
//go:embed requirements/*.txt
var sets embed.FS

// Sets names the sets, the oldest first: "2026.1".
func Sets() []string {
	files, err := sets.ReadDir("requirements")
	if err != nil {
		panic(err) // they are part of the program
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(f.Name(), ".txt")
	}
	return names
}

// Set gives the ids of a set, sorted.
func Set(name string) ([]string, error) {
	if !slices.Contains(Sets(), name) {
		return nil, fmt.Errorf("there are no requirements %q: %s is right", name, strings.Join(Sets(), " or "))
	}
	b, err := sets.ReadFile("requirements/" + name + ".txt")
	return strings.Fields(string(b)), err
}

// Since names the first set that holds the id; "" where it is newer than all of them.
func Since(id string) string {
	for _, name := range Sets() {
		if ids, err := Set(name); err == nil && slices.Contains(ids, id) {
			return name
		}
	}
	return ""
}

//go:build race

package measure

import (
	"flag"

	_ "pgregory.net/rapid" // has the flag
)

// The models run on one goroutine each, where the race detector finds nothing and takes six times as long: with it they are tried a few times only. `make test` runs them
// without it too, in full.
func init() { flag.Set("rapid.checks", "20") }

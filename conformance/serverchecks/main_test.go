package serverchecks_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// Hundreds of runs that each live for milliseconds: they leave much behind, and hold little.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}

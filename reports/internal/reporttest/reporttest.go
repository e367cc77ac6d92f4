// Package reporttest holds the runs that the tests of every format render, and the comparison with golden files
// (go test ./reports/... -update writes them anew). It is for tests only.
package reporttest

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ssegauge/reports/result"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Golden compares got with testdata/name.
func Golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s differs (-want +got; -update takes it over):\n%s", path, cmp.Diff(string(want), string(got)))
	}
}

// Run is a run with its name.
type Run struct {
	Name string
	Run  *result.Run
}

// Runs returns one of each kind: fresh copies, always the same.
func Runs() []Run {
	return []Run{
		{"clean", Clean()},
		{"failing", Failing()},
		{"interrupted", Interrupted()},
		{"load", Load()},
		{"load-few", LoadFew()},
		{"load-failing", LoadFailing()},
		{"load-ticks", LoadTicks()},
		{"load-breaking", LoadBreaking()},
		{"limits", Limits()},
		{"limits-gated", LimitsGated()},
		{"limits-quiet", LimitsQuiet()},
		{"limits-interrupted", LimitsInterrupted()},
		{"limits-undecided", LimitsUndecided()},
	}
}

package serverchecks_test

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"ssegauge/conformance"
	"ssegauge/conformance/serverchecks"
	"ssegauge/reference/server"
	"ssegauge/reports/result"
)

// matrix is what the faults of the reference server did to the verdicts of all checks. `make mutation` prints it.
type matrix struct {
	mu   sync.Mutex
	rows []mutation
}

// mutation is one fault: a row.
type mutation struct {
	check      conformance.Check
	clean, got result.Verdict
	caught     bool
	follow     []string // other checks whose verdict cannot stay as it was, and did not
	unrelated  []string // other checks whose verdict changed all the same
}

// caught tells whether a check noticed its fault, as gravely as its level asks for.
func caught(c *conformance.Check, clean, got result.Verdict) bool {
	if got == clean {
		return false
	}
	switch got {
	case result.Fail:
		return true
	case result.Warn:
		return c.Level == result.Should || c.Level == result.Advice || mild[c.ID]
	case result.Info:
		return c.Level == result.Advice
	}
	return false
}

// add holds the findings on a fault against those on the clean server. follows are the ids (or everything) that may change.
func (m *matrix) add(c conformance.Check, base, found map[string]result.Finding, follows string) mutation {
	row := mutation{check: c, clean: base[c.ID].Verdict, got: found[c.ID].Verdict}
	row.caught = caught(&c, row.clean, row.got)
	for _, id := range slices.Sorted(maps.Keys(found)) {
		switch from, to := base[id].Verdict, found[id].Verdict; {
		case id == c.ID || alike(base[id], found[id]):
		case follows == everything && to != result.Fail && to != result.Warn && to != result.Error,
			mayChange(follows, id, to):
			row.follow = append(row.follow, fmt.Sprintf("%s %s->%s", id, from, to))
		default:
			row.unrelated = append(row.unrelated, fmt.Sprintf("%s %s->%s", id, from, to))
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, row)
	return row
}

// write prints the rows and the figures.
func (m *matrix) write(w io.Writer) error {
	rows := slices.SortedFunc(slices.Values(m.rows), func(a, b mutation) int { return cmp.Compare(a.check.ID, b.check.ID) })
	all := serverchecks.All()
	built, notCaught, unrelated := 0, 0, 0
	for _, c := range all {
		if c.Run != nil {
			built++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %-8s %-13s %-12s %s\n", "fault", "level", "clean", "faulty", "other verdicts that follow from it (! unrelated)")
	for _, r := range rows {
		mark := " "
		if !r.caught {
			mark = "!"
			notCaught++
		}
		unrelated += len(r.unrelated)
		others := strings.Join(r.follow, ", ")
		if len(r.follow) > 6 {
			others = fmt.Sprintf("%d others: there is no stream to judge", len(r.follow))
		}
		for _, u := range r.unrelated {
			others += " !" + u
		}
		fmt.Fprintf(&b, "%-34s %-8s %-13s %-11s%s %s\n", r.check.ID, r.check.Level, r.clean, r.got, mark, others)
	}
	fmt.Fprintf(&b, "\nchecks built: %d of %d rows of the catalogue, and %d of optional profiles\n", built, len(all), len(serverchecks.InProfiles()))
	percent := 100.0
	if len(rows) > 0 {
		percent = 100 * float64(len(rows)-notCaught) / float64(len(rows))
	}
	fmt.Fprintf(&b, "faults caught: %d of %d (%.0f %%)\n", len(rows)-notCaught, len(rows), percent)
	fmt.Fprintf(&b, "unrelated verdicts changed: %d of %d\n", unrelated, len(rows)*max(built-1, 0))
	_, err := io.WriteString(w, b.String())
	return err
}

// report writes the matrix to the file that MATRIX names; each test run without it says the figures only where they are wrong.
func (m *matrix) report(t *testing.T) {
	t.Helper()
	file := os.Getenv("MATRIX")
	if file == "" {
		return
	}
	var b strings.Builder
	if err := m.write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestEveryBuiltCheckHasAFault(t *testing.T) {
	has := map[string]bool{}
	for _, f := range server.Faults() {
		if _, ok := lookup(f.ID); !ok {
			t.Errorf("the fault %s breaks a rule that is not in the catalogue", f.ID)
		}
		has[f.ID] = true
	}
	for _, c := range append(serverchecks.All(), serverchecks.InProfiles()...) {
		if c.Run != nil && !has[c.ID] {
			t.Errorf("%s is built, but reference/server has no fault for it", c.ID)
		}
	}
}

func TestMatrix(t *testing.T) {
	f := func(pairs ...string) map[string]result.Finding {
		m := map[string]result.Finding{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = result.Finding{Verdict: result.Verdict(pairs[i+1])}
		}
		return m
	}
	clean := f("a", "pass", "b", "pass", "c", "not-observed", "d", "pass")
	for _, c := range []struct {
		level     result.Level
		found     map[string]result.Finding
		follows   string
		caught    bool
		unrelated int
	}{
		{result.Must, f("a", "fail", "b", "pass"), "", true, 0},
		{result.Must, f("a", "warn", "b", "pass"), "", false, 0},
		{result.Advice, f("a", "warn", "b", "pass"), "", true, 0},
		{result.Must, f("a", "pass", "b", "pass"), "", false, 0},
		{result.Must, f("a", "not-observed"), "", false, 0},
		{result.Must, f("a", "fail", "b", "fail", "c", "pass"), "", true, 2},
		{result.Must, f("a", "fail", "b", "fail", "c", "pass"), "b c", true, 0},
		{result.Must, f("a", "fail", "b", "not-observed", "c", "not-observed"), everything, true, 0},
		{result.Must, f("a", "fail", "b", "fail", "d", "error"), everything, true, 2},
	} {
		row := new(matrix).add(conformance.Check{ID: "a", Level: c.level}, clean, c.found, c.follows)
		if row.caught != c.caught || len(row.unrelated) != c.unrelated {
			t.Errorf("%+v: %+v", c, row)
		}
	}
}

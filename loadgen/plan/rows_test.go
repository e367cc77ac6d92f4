package plan

import (
	"errors"
	"strings"
	"testing"
)

// No more is read of a file than the limit, whether it is rows or one cell that never ends.
func TestRowsLimit(t *testing.T) {
	for _, in := range []string{"name\n" + strings.Repeat("row\n", 100), "name\n\"" + strings.Repeat("x", 400), "name" + strings.Repeat("x", 400)} {
		if r, err := readRows(strings.NewReader(in), 0, 200); !errors.Is(err, errTooLarge) {
			t.Errorf("%.10s: %v, %v", in, r, err)
		}
	}
	if r, err := readRows(strings.NewReader("name\n"+strings.Repeat("row\n", 100)), 10, 200); err != nil || r.len() != 10 {
		t.Errorf("%v", err)
	}
	if r, err := readRows(strings.NewReader("name\nrow"), 0, 8); err != nil || r.len() != 1 {
		t.Errorf("%v", err)
	}
}

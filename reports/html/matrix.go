package html

import (
	"slices"
	"strings"
)

// matrix sets checks side by side: a row for each id, by group, a column for each run. Every cell opens what was seen.
type matrix struct {
	Runs   []*view
	Groups []matrixGroup
}

type matrixGroup struct {
	Name string // "http" of "http/status"
	Rows []matrixRow
}

type matrixRow struct {
	ID    string
	Cells []*finding // nil where the run does not have the check
}

// Fine tells whether there is no finding in the row; the filter of the matrix hides it.
func (r matrixRow) Fine() bool {
	return !slices.ContainsFunc(r.Cells, func(f *finding) bool { return f != nil && f.Bad() })
}

// Fine tells it of all rows.
func (g matrixGroup) Fine() bool {
	return !slices.ContainsFunc(g.Rows, func(r matrixRow) bool { return !r.Fine() })
}

// newMatrix is nil where there are not several checks.
func newMatrix(views []*view) *matrix {
	m := new(matrix)
	for _, v := range views {
		if v.Check != nil && v.Error == "" {
			m.Runs = append(m.Runs, v)
		}
	}
	if len(m.Runs) < 2 {
		return nil
	}
	type place struct{ group, row int }
	groups, rows := map[string]int{}, map[string]place{}
	for column, v := range m.Runs {
		for i := range v.Findings {
			f := &v.Findings[i]
			at, ok := rows[f.ID]
			if !ok {
				name, _, _ := strings.Cut(f.ID, "/")
				if at.group, ok = groups[name]; !ok {
					at.group = len(m.Groups)
					groups[name] = at.group
					m.Groups = append(m.Groups, matrixGroup{Name: name})
				}
				g := &m.Groups[at.group]
				at.row = len(g.Rows)
				g.Rows = append(g.Rows, matrixRow{f.ID, make([]*finding, len(m.Runs))})
				rows[f.ID] = at
			}
			m.Groups[at.group].Rows[at.row].Cells[column] = f
		}
	}
	return m
}

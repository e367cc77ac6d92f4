package text

import (
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/tw"
)

// table writes rows under a header: no frame, two spaces between columns, a rule below the header; align holds 'l' or 'r' for each column.
// Cells must be escaped and short enough: nothing is wrapped.
func (p *report) table(align string, header []string, rows [][]string) {
	columns := make([]tw.Align, len(align))
	for i, a := range align {
		columns[i] = tw.AlignLeft
		if a == 'r' {
			columns[i] = tw.AlignRight
		}
	}
	cells := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Padding:    tw.CellPadding{Global: tw.Padding{Left: "", Right: "  ", Overwrite: true}},
		Alignment:  tw.CellAlignment{PerColumn: columns},
	}
	var out strings.Builder
	t := tablewriter.NewTable(&out,
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}),
		tablewriter.WithHeaderAutoFormat(tw.Off), // it would make "P 99 . 9" of p99.9
		tablewriter.WithTrimSpace(tw.Off),        // units are padded so that numbers line up
		tablewriter.WithEastAsian(tw.Off),        // the same everywhere, whatever the locale
		tablewriter.WithRendition(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Separators: tw.Separators{ShowHeader: tw.Off, ShowFooter: tw.Off, BetweenRows: tw.Off, BetweenColumns: tw.Off},
				Lines:      tw.Lines{ShowTop: tw.Off, ShowBottom: tw.Off, ShowHeaderLine: tw.On, ShowFooterLine: tw.Off},
			},
		}))
	t.Header(header)
	for _, row := range rows {
		_ = t.Append(row) // fails in streaming mode only
	}
	_ = t.Render() // to memory
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	widest := 0
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
		if i != 1 {
			widest = max(widest, twwidth.Width(lines[i]))
		}
	}
	lines[1] = strings.Repeat("─", widest) // the rule would reach below the padding of the last column
	for _, l := range lines {
		p.line(l)
	}
}

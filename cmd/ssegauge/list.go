package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ssegauge/conformance"
	"ssegauge/conformance/catalogue"
)

func newList(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list [GLOB...]",
		Short: "List the catalogue of requirements",
		Long: `Lists every requirement: its id, its level, and what a right server does. Requirements
of the core set carry a star; those that are in the catalogue but not built yet say so, and those of an
optional profile name the flag that holds a server to it.`,
		Example: `  ssegauge list
  ssegauge list 'resume/*' 'id/*'
  ssegauge list 'mcp/*' 'llm/*'
  ssegauge list --format json | jq -r '.[] | select(.core) | .id'`,
		RunE: func(_ *cobra.Command, args []string) error {
			checks, err := catalogue.Filter(catalogue.Everything(), args, nil)
			if err != nil {
				return usagef("%v", err)
			}
			switch format {
			case "text":
				return listText(a.stdout, checks)
			case "json":
				return listJSON(a.stdout, checks)
			}
			return usagef("--format %q is unknown: text or json is right", format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text|json")
	return cmd
}

func listText(w io.Writer, checks []conformance.Check) error {
	width, built, optional := 0, 0, 0
	for i := range checks {
		width = max(width, len(checks[i].ID))
	}
	for i := range checks {
		c := &checks[i]
		mark, note := " ", ""
		if c.Core {
			mark = "*"
		}
		switch {
		case c.Profile != "":
			note = " (--profile-set " + c.Profile + ")"
			optional++
		case c.Run == nil:
			note = " (not built yet)"
		default:
			built++
		}
		if _, err := fmt.Fprintf(w, "%s %-*s  %-8s  %s%s\n", mark, width, c.ID, c.Level, c.Title, note); err != nil {
			return err
		}
	}
	more := ""
	if optional > 0 {
		more = fmt.Sprintf(", and %d of optional profiles", optional)
	}
	_, err := fmt.Fprintf(w, "\n%d requirements, %d of them built%s; * core set. 'ssegauge explain ID' tells more.\n", len(checks)-optional, built, more)
	return err
}

// listed is one requirement in `list --format json`.
type listed struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Level  string   `json:"level"`
	Clause string   `json:"clause"`
	Needs  []string `json:"needs"`
	Core   bool     `json:"core"`
	Built  bool     `json:"built"`
	Since  string   `json:"since"` // the first set of requirements that holds it; "" for those after all of them
	// The optional profile that it belongs to; "" where everyone is held to it.
	Profile string `json:"profile"`
}

func listJSON(w io.Writer, checks []conformance.Check) error {
	out := make([]listed, 0, len(checks))
	for i := range checks {
		c := &checks[i]
		out = append(out, listed{c.ID, c.Title, string(c.Level), c.Clause, c.Needs.Names(), c.Core, c.Run != nil, catalogue.Since(c.ID), c.Profile})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func newExplain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Explain one requirement: the clause, why it matters, good and bad bytes",
		Example: `  ssegauge explain data/multiline
  ssegauge explain retry/digits`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			for _, c := range catalogue.Everything() {
				ids = append(ids, c.ID)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			c, ok := catalogue.Lookup(args[0])
			if !ok {
				return usagef("no requirement is called %q: 'ssegauge list' shows the ids%s", args[0], nearest(args[0]))
			}
			return explain(a.stdout, &c)
		},
	}
}

func explain(w io.Writer, c *conformance.Check) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.ID, c.Title)
	fmt.Fprintf(&b, "%s (%s)", c.Level, c.Clause)
	if c.Core {
		b.WriteString("; core set")
	}
	if c.Profile != "" {
		fmt.Fprintf(&b, "; optional: --profile-set %s", c.Profile)
	}
	if since := catalogue.Since(c.ID); since != "" {
		fmt.Fprintf(&b, "; since %s", since)
	}
	if names := c.Needs.Names(); len(names) > 0 {
		fmt.Fprintf(&b, "; needs: %s", strings.Join(names, ", "))
	}
	b.WriteString("\n")
	part := func(head, body string) {
		if body != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", head, wrap(body, 78, "  "))
		}
	}
	bytes := func(head, body string) {
		if body != "" {
			fmt.Fprintf(&b, "\n%s\n", head)
			for line := range strings.SplitSeq(strings.TrimRight(body, "\n"), "\n") {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
	}
	if c.Run == nil {
		b.WriteString("\nThis requirement is in the catalogue; its check is not built yet.\n")
	}
	part("The requirement", c.Text)
	part("Why it matters", c.Why)
	bytes("Good", c.Good)
	bytes("Bad", c.Bad)
	part("Seen in the field", strings.Join(c.Evidence, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}

// nearest suggests the ids of the catalogue that hold what was typed, or its last part.
func nearest(typed string) string {
	part := typed[strings.LastIndex(typed, "/")+1:]
	var near []string
	for _, c := range catalogue.Everything() {
		if part != "" && strings.Contains(c.ID, part) && len(near) < 3 {
			near = append(near, c.ID)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// wrap breaks prose into lines of at most width columns, each indented.
func wrap(s string, width int, indent string) string {
	var b strings.Builder
	col := 0
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+n > width:
			b.WriteString("\n" + indent)
			col = len(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(word)
		col += n
	}
	return b.String()
}

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report prints the table, then what differs, and returns the exit code.
func report(w io.Writer, outcomes []*outcome) int {
	code := 0
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "SERVER\tCHECK FOUND\tLOAD\tWATCH\tAS EXPECTED")
	for _, o := range outcomes {
		ok := "yes"
		if o.again {
			ok = "yes, at the second try"
		}
		if o.cut {
			ok = "interrupted"
		}
		if len(o.differences) > 0 {
			ok, code = "NO", 1
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.c.Name, o.check, o.load, o.watch, ok)
	}
	t.Flush()
	for _, o := range outcomes {
		if len(o.differences) > 0 {
			fmt.Fprintf(w, "\n%s\n", o.c.Name)
			for _, d := range o.differences {
				fmt.Fprintf(w, "    %s\n", d)
			}
		}
	}
	return code
}

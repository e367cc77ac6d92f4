package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ssegauge/reports/result"
)

func newReport(a *app) *cobra.Command {
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "report FILE...",
		Short: "Render stored results again, in any format",
		Long: `Renders what was stored with --report json=FILE again. Several results come one after the other and are set side by
side: in text as a table, in HTML as a matrix of targets and checks, in JSON as one document of schema ssegauge/runs/v1.`,
		Example: `  ssegauge check http://localhost:8080/events --report json=check.json
  ssegauge report check.json
  ssegauge report check.json --report html=check.html
  ssegauge report before.json after.json --report html=both.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("no file was given")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			var all []*result.Run
			for _, path := range args {
				runs, err := readRuns(path)
				if err != nil {
					return err
				}
				all = append(all, runs...)
			}
			return out.write(a.stdout, a.stderr, all...)
		},
	}
	out.add(cmd)
	return cmd
}

func readRuns(path string) ([]*result.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("%v", plain(err))
	}
	defer f.Close()
	runs, err := result.DecodeAll(f)
	if err != nil {
		return nil, usagef("%s: %v", path, err)
	}
	return runs, nil
}

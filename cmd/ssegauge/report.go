package main

import (
	"os"

	"github.com/spf13/cobra"

	"ssegauge/reports/result"
)

func newReport(a *app) *cobra.Command {
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Render a stored result again, in any format",
		Example: `  ssegauge check http://localhost:8080/events --report json=check.json
  ssegauge report check.json
  ssegauge report check.json --report html=check.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			run, err := readRun(args[0])
			if err != nil {
				return err
			}
			return out.write(a.stdout, a.stderr, run)
		},
	}
	out.add(cmd)
	return cmd
}

func readRun(path string) (*result.Run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("%v", plain(err))
	}
	defer f.Close()
	run, err := result.Decode(f)
	if err != nil {
		return nil, usagef("%s: %v", path, err)
	}
	return run, nil
}

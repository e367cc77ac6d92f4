package main

import (
	"context"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"ssegauge/loadgen"
)

// newCanary is the command of a process that a load run starts of itself; people have no use for it.
func newCanary(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "canary", Hidden: true, Args: cobra.NoArgs,
		Short: "For a load run: a few streams in a process of their own",
		RunE: func(cmd *cobra.Command, _ []string) error {
			// An interrupt at the terminal reaches the run too, which ends this process when it is done.
			return loadgen.RunCanary(context.WithoutCancel(cmd.Context()), a.stdin, a.stdout)
		},
	}
}

// self is this program once more.
func self(args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = os.Args[0]
	return cmd, nil
}

// withCanary gives a run a canary.
var withCanary = loadgen.WithCanary(func() (*exec.Cmd, error) { return self("canary") })

// withCalibration has a run find out beforehand what this machine can receive from the reference server, by the engine that costs least.
var withCalibration = loadgen.WithCalibration(func(tls bool) (*exec.Cmd, error) {
	if tls {
		return self("serve", "--listen", "127.0.0.1:0", "--until-stdin-ends", "--tls")
	}
	return self("serve", "--listen", "127.0.0.1:0", "--until-stdin-ends", "--engine", "raw")
})

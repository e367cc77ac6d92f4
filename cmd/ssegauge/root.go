package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ssegauge/reports/result"
)

// version is set by the linker for releases; otherwise the module's own version is shown.
var version = ""

// app is what every subcommand shares: the three standard streams.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

func toolVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "ssegauge",
		Short: "Judge and load Server-Sent Events servers, and find their limits",
		Long: `ssegauge judges Server-Sent Events servers, measures how long one event takes to
reach everyone, finds out which limit comes first and whose it is, and serves a
reference implementation to hold others against.`,
		Example: `  ssegauge demo                                  everything at once, on its own server
  ssegauge check http://localhost:8080/events    judge a server
  ssegauge load  http://localhost:8080/events --streams 2000 --duration 20s
  ssegauge limits http://localhost:8080/events   which limit comes first, and whose it is
  ssegauge watch http://localhost:8080/events    see a stream as it comes`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       fmt.Sprintf("%s %s %s/%s", toolVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: 'ssegauge --help' lists the commands", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("ssegauge {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v: '%s --help' lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(
		newDemo(a), newCheck(a), newLoad(a), newLimits(a), newWatch(a), newServe(a), newReport(a), newList(a), newExplain(a), newCanary(a),
	)
	for _, sub := range root.Commands() {
		wrapArgs(sub)
	}
	root.PersistentPreRun = func(*cobra.Command, []string) { strangers(a.stderr, root) }
	return root
}

// wrapArgs makes every complaint about arguments and defaults from the environment a usage error.
func wrapArgs(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(c *cobra.Command, args []string) error {
		if check != nil {
			if err := check(c, args); err != nil {
				return usagef("%v: usage: %s", err, c.UseLine())
			}
		}
		return fromEnvironment(c.Flags())
	}
}

const prefix = "SSEGAUGE_"

// variable is the environment variable that sets the default of f.
func variable(f *pflag.Flag) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// fromEnvironment sets each flag that was not given from SSEGAUGE_<NAME>, as a default of the user's own.
func fromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f)
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || err != nil || f.Name == "help" {
			return
		}
		if setErr := f.Value.Set(value); setErr != nil {
			err = usagef("environment variable %s=%q: %v", name, value, setErr)
		}
	})
	return err
}

// strangers tells of environment variables that look like ours and set nothing: a typing error in one would otherwise go unnoticed.
func strangers(w io.Writer, root *cobra.Command) {
	known := map[string]bool{}
	for _, sub := range root.Commands() {
		sub.Flags().VisitAll(func(f *pflag.Flag) { known[variable(f)] = true })
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) && !known[name] {
			fmt.Fprintf(w, "ssegauge: the environment variable %s sets nothing: no command has a flag of that name\n", result.Escape(name))
		}
	}
}

// oneURL is the argument rule of commands that take a single URL.
func oneURL(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fmt.Errorf("no URL was given")
	case 1:
		return nil
	}
	return fmt.Errorf("one URL is wanted, got %d arguments (quote a URL that holds &)", len(args))
}

// someURLs is the argument rule of a command that takes URLs, or - alone.
func someURLs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("no URL was given")
	}
	if len(args) > 1 && slices.Contains(args, "-") {
		return fmt.Errorf("- is a stream on stdin, and stands alone")
	}
	return nil
}

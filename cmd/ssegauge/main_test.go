package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ssegauge": main})
}

// TestScripts runs the command line as a user types it, one behaviour a file. Beside testscript's own commands:
//
//	serve [FAULT | max-streams-per-conn=N]  starts the reference server; its address is in $URL
//	peer KIND               starts a server that is something else (peers_test.go); its URL is in $URL
//	exitcode N CMD ARGS...  demands the exit code
//	replays N A.csv FILE    demands that a recording replays to the verdicts of a report and to the exit code N
//	interrupt N PATTERN ARGS...  runs ssegauge, interrupts it at the first line that matches, demands the exit code
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			e.Setenv("GITHUB_ACTIONS", "")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second each time the program ends under the race detector is most of the scripts' time
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "peer": cmdPeer, "exitcode": cmdExitCode, "interrupt": cmdInterrupt, "replays": cmdReplays,
		},
	})
}

package loadgen_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// What a run starts in processes of their own is this binary, told by the environment what to be.
const (
	roleEnv  = "SSEGAUGE_TEST_ROLE"
	shapeEnv = "SSEGAUGE_TEST_SHAPE"
)

func TestMain(m *testing.M) {
	role := map[string]func() error{"canary": canaryRole, "sink": sinkRole, "silent": silentRole, "fails": func() error { return errors.New("no") }}[os.Getenv(roleEnv)]
	if role == nil {
		goleak.VerifyTestMain(m)
		return
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

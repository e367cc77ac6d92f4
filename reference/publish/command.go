package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// commandSender publishes by a shell command.
type commandSender string

func (commandSender) String() string { return "a command" }

func (commandSender) start() error { return nil }

func (commandSender) close() {}

func (commandSender) uses(string) bool { return true }

// Exit codes of sh for a command that could not be run at all (POSIX, Shell Command Language 2.8.2).
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func (c commandSender) send(ctx context.Context, m *Message, r *Receipt) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", string(c))
	cmd.Env = os.Environ()
	for _, f := range [...][2]string{
		{"SSE_ID", m.ID}, {"SSE_EVENT", m.Event}, {"SSE_DATA", m.Data}, {"SSE_RETRY", m.Retry}, {"SSE_COMMENT", m.Comment}, {"SSE_MARKER", m.Marker},
	} {
		v := f[1]
		// Data stands on stdin too, so a value the environment cannot hold (U+0000, or longer than the kernel takes) is left out of it there.
		if strings.IndexByte(v, 0) >= 0 || len(v) > 100_000 {
			if f[0] != "SSE_DATA" {
				return &CarryError{f[0], "an environment variable cannot hold U+0000 or more than 100,000 bytes"}
			}
			v = ""
		}
		cmd.Env = append(cmd.Env, f[0]+"="+v)
	}
	cmd.Stdin = strings.NewReader(m.Data)
	out := &capped{}
	cmd.Stdout, cmd.Stderr = out, out
	// What the shell started must go with it, and what inherited its output must not hold us up.
	OwnGroup(cmd)
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	r.Body = out.b
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return fmt.Errorf("publish command: %w", cause)
	}
	exit, isExit := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay):
		return nil
	case !isExit:
		return fmt.Errorf("publish command: %w", err)
	case exit.ExitCode() == exitNotFound || exit.ExitCode() == exitNotExecutable || exit.ExitCode() < 0:
		return &CommandError{Exit: exit.Error(), Says: firstLine(out.b)}
	}
	r.Status, r.Refused = exit.ExitCode(), true
	return nil
}

func firstLine(b []byte) string {
	s, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if s == "" {
		return "no output"
	}
	return fmt.Sprintf("%q", shorten(s))
}

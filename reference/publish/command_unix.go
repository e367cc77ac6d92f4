//go:build unix

package publish

import (
	"os/exec"
	"syscall"
)

// OwnGroup puts the command into a process group of its own, killed as a whole.
func OwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

package testkit

import "syscall"

const (
	signalFreeze = syscall.SIGSTOP
	signalThaw   = syscall.SIGCONT
)

// dieWithTest makes the kernel kill a process when the test that started it has died without cleaning up.
func dieWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

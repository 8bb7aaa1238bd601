//go:build !linux

package testkit

import "syscall"

// The tests run on Linux only. Elsewhere they compile, and fail where they need more.
const (
	signalFreeze = syscall.Signal(-1)
	signalThaw   = syscall.Signal(-1)
)

func dieWithTest() *syscall.SysProcAttr { return nil }

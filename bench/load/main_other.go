//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	_, _ = fmt.Fprintln(os.Stderr, "load: needs Linux: it is built on epoll and reads /proc")
	os.Exit(2)
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `load measures servers of Server-Sent Events.

  load compare [flags]                   every workload, gateway and nchan in turns, one table
  load single -workload NAME [flags]     one workload against one server, started for it (-system)
  load drive -workload NAME -url … [flags]   one workload against a server that is running
  load floor [flags]                     Redis PUBLISH to Receive alone

Each command has -h.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		_, _ = fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		_, _ = fmt.Fprint(stderr, usage)
		return flag.ErrHelp
	}
	switch name, args := args[0], args[1:]; name {
	case "compare":
		return compare(ctx, args, stdout, stderr)
	case "single":
		return single(ctx, args, stdout)
	case "drive":
		return drive(ctx, args, stdout)
	case "floor":
		return floor(ctx, args, stdout)
	default:
		_, _ = fmt.Fprint(stderr, usage)
		return fmt.Errorf("no command %q", name)
	}
}

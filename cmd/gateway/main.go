// Command gateway brings published events to browsers over Server-Sent Events. It is configured by environment
// variables alone; "gateway -h" lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sse-gateway/internal/cli"
)

func main() {
	os.Exit(exit(run(context.Background(), os.Args, os.Environ(), os.Stdout, os.Stderr), os.Stderr))
}

// A usageError is a command that is used wrongly.
type usageError struct{ error }

// exit tells what has ended the process, and returns its exit code.
func exit(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	var config *configError
	var usage usageError
	var misuse *cli.UsageError
	var command *cli.ExitError
	isCommand := errors.As(err, &command)
	if isCommand && command.Code == cli.ExitInterrupted {
		return command.Code // whoever pressed Ctrl-C knows
	}
	_, _ = fmt.Fprintln(stderr, "gateway:", err)
	switch {
	case isCommand:
		return command.Code
	case errors.As(err, &config), errors.As(err, &usage), errors.As(err, &misuse):
		return 2
	}
	return 1
}

// run carries out the command that args name; none is to run the gateway, until ctx is done or a signal comes.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	command, rest := "", []string(nil)
	if len(args) > 1 {
		command, rest = args[1], args[2:]
	}
	switch command {
	case "":
		return serve(ctx, environ, stderr)
	case "-h", "-help", "--help", "help":
		return printUsage(stdout)
	case "version", "-version", "--version":
		return printVersion(rest, stdout)
	case "token":
		return mintToken(rest, environ, stdout)
	case "healthcheck":
		return healthcheck(ctx, rest, environ, stdout)
	case "pub", "sub", "tail":
		return use(ctx, command, rest, environ, cli.Terminal{In: os.Stdin, Out: stdout, Err: stderr})
	}
	return usageError{fmt.Errorf("there is no command %q; gateway -h lists them", command)}
}

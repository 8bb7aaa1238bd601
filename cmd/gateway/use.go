package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/cli"
)

// adminLifetime is how long a token lives that "tail --admin" makes; it makes another one when that has expired.
const adminLifetime = time.Hour

// use carries out one of the commands that use a gateway, until a signal comes.
func use(ctx context.Context, command string, args, environ []string, terminal cli.Terminal) error {
	texts := map[string]string{"pub": cli.PubUsage, "sub": cli.SubUsage, "tail": cli.TailUsage}
	if wantsHelp(beforeDashes(args)) {
		return printHelp(terminal.Out, texts[command])
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	env := lookup(environ)
	terminal.Pretty = isTerminal(terminal.Out)
	terminal.Color = terminal.Pretty && env("NO_COLOR") == "" && env("TERM") != "dumb"
	switch command {
	case "pub":
		return cli.Pub(ctx, args, env, terminal)
	case "sub":
		return cli.Sub(ctx, args, env, terminal)
	}
	return cli.Tail(ctx, args, env, terminal, func() (string, error) { return adminToken(environ) })
}

// beforeDashes is what stands before "--": behind it -h is data.
func beforeDashes(args []string) []string {
	if at := slices.Index(args, "--"); at >= 0 {
		return args[:at]
	}
	return args
}

// lookup finds variables in an environment; one that is not set is empty.
func lookup(environ []string) func(string) string {
	return func(name string) string {
		for _, entry := range slices.Backward(environ) {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// adminToken makes a token that may list and follow all topics.
func adminToken(environ []string) (string, error) {
	cfg, faults := parseConfig(environ)
	if len(faults) > 0 {
		return "", &configError{faults}
	}
	return auth.Mint(cfg.jwt(), auth.Grant{Subscribe: []string{"*"}, Admin: true, Lifetime: adminLifetime})
}

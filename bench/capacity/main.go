// Command capacity says what a load takes: replicas, memory, cores of Redis, bandwidth, and how long it takes when every stream
// reconnects. It computes from costs that were measured (costs.go), and says which is which.
//
//	go run ./bench/capacity -streams 1e6 -rate 1e5 -fanout 10
//	go run ./bench/capacity measure     # measures again what bench/load does not
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	err := command(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "measure" {
		return measure(ctx, args[1:], stdout)
	}
	l, err := parseLoad(args, stderr)
	if err != nil {
		return err
	}
	return report(stdout, l, estimate(l, measured()))
}

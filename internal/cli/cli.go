// Package cli is the commands that use a gateway rather than being one: "gateway pub", "sub" and "tail". They talk to any
// gateway over HTTP, as a back end would.
package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"sse-gateway/internal/client"
)

// The exit codes that tell a script what to do next.
const (
	ExitRefused     = 1   // the gateway refuses: trying again is no use
	ExitUnreachable = 3   // no gateway, or none that could: trying again may help
	ExitInterrupted = 130 // Ctrl-C, as shells have it
)

// An ExitError is why a command ends, with the exit code that says so to scripts. One without a cause has nothing to tell a
// person.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string { return e.Err.Error() }

func (e *ExitError) Unwrap() error { return e.Err }

// A UsageError is a command that is used wrongly.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

func (e *UsageError) Unwrap() error { return e.Err }

// A Terminal is what a command reads and writes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Pretty   bool // Out is read by a person
	Color    bool // and shows colours
}

// Names of the variables that these commands read. They are no settings of the gateway itself.
const (
	VarURL       = "GATEWAY_URL"
	VarToken     = "GATEWAY_TOKEN"
	VarTokenFile = "GATEWAY_TOKEN_FILE"
)

// IsVariable tells the names of the variables that these commands read.
func IsVariable(name string) bool { return name == VarURL || name == VarToken || name == VarTokenFile }

// A command is one command's flags and what they were set to.
type command struct {
	*flag.FlagSet
	url, token, tokenFile string
	mint                  func() (string, error) // makes the token, if it is set
	terminal              Terminal
}

func newCommand(name string, env func(string) string, terminal Terminal) *command {
	c := &command{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), terminal: terminal}
	c.SetOutput(io.Discard)
	c.StringVar(&c.url, "url", cmp.Or(env(VarURL), "http://localhost:8000"), "")
	c.StringVar(&c.token, "token", "", "")
	c.StringVar(&c.tokenFile, "token-file", "", "")
	return c
}

// parse reads flags and names in any order; behind "--" there are names only.
func (c *command) parse(args []string) ([]string, error) {
	var names []string
	for len(args) > 0 {
		if err := c.Parse(args); err != nil {
			return nil, &UsageError{fmt.Errorf("%s: %w; gateway %[1]s -h shows how it is used", c.Name(), err)}
		}
		rest := c.Args()
		if at := len(args) - len(rest); at > 0 && args[at-1] == "--" {
			return append(names, rest...), nil
		}
		if len(rest) == 0 {
			break
		}
		names, args = append(names, rest[0]), rest[1:]
	}
	return names, nil
}

func (c *command) misused(format string, args ...any) error {
	return &UsageError{fmt.Errorf("%s: %w; gateway %[1]s -h shows how it is used", c.Name(), fmt.Errorf(format, args...))}
}

// client is a client of the gateway that is meant. What the flags say comes before the environment.
func (c *command) client(env func(string) string) (*client.Client, error) {
	token, file := c.token, c.tokenFile
	if token == "" && file == "" {
		token, file = env(VarToken), env(VarTokenFile)
	}
	if token != "" && file != "" {
		return nil, c.misused("a token and a file with one: which is meant?")
	}
	source := tokenSource(token, file)
	if c.mint != nil {
		source = c.mint
	}
	opened, err := client.New(client.Options{
		URL:    c.url,
		Token:  source,
		Notice: func(text string) { _, _ = fmt.Fprintln(c.terminal.Err, "gateway:", text) },
	})
	if err != nil {
		return nil, c.misused("--url or %s: %w", VarURL, err)
	}
	return opened, nil
}

func tokenSource(token, file string) func() (string, error) {
	if file == "" {
		return func() (string, error) { return strings.TrimSpace(token), nil }
	}
	return func() (string, error) {
		text, err := os.ReadFile(file) //nolint:gosec // whoever runs the command names it
		if err != nil {
			return "", fmt.Errorf("read the token: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
}

// ended is how a command ends that got err, which may be none.
func (c *command) ended(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return &ExitError{Code: ExitInterrupted, Err: errInterrupted}
	}
	err = fmt.Errorf("%s: %w%s", c.Name(), err, c.advice(err))
	if client.IsTemporary(err) {
		return &ExitError{Code: ExitUnreachable, Err: err}
	}
	return &ExitError{Code: ExitRefused, Err: err}
}

var errInterrupted = errors.New("interrupted")

// advice is what may be done about an error.
func (c *command) advice(err error) string {
	problem, refused := errors.AsType[*client.Problem](err)
	switch {
	case errors.Is(err, client.ErrUnreachable):
		return "; start a gateway there, or name another with --url or " + VarURL
	case refused && problem.Status == 401:
		return "; give one with --token-file, or " + VarToken
	}
	return ""
}

package auth

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Grant is what a minted token says.
type Grant struct {
	Subject   string   // the user; empty: none
	Subscribe []string // patterns of topics
	Publish   []string // patterns of topics and, with "@", of inboxes
	Admin     bool
	Lifetime  time.Duration // from now
}

// Mint makes a token that a JWT with the options o accepts: with the first key of o that can sign, and o's issuer,
// audience and claim. It is for development and for trying things out; a key in its errors is named by its variable.
func Mint(o JWTOptions, g Grant) (string, error) {
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	path, err := parseClaimPath(o.Claim)
	switch {
	case err != nil:
		return "", err
	case o.Key == "" && o.KeyFile == "":
		return "", errors.New("no key to sign with: set GATEWAY_JWT_KEY or GATEWAY_JWT_KEY_FILE")
	case g.Subject != "" && !isName(g.Subject):
		return "", fmt.Errorf("subject %q is no valid name of a user", g.Subject)
	case g.Lifetime < time.Second || g.Lifetime > o.MaxAge:
		return "", fmt.Errorf("lifetime %s is not between 1s and GATEWAY_JWT_MAX_AGE, %s", g.Lifetime, o.MaxAge)
	}
	keys, _, err := readKeys(o)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.sign == nil {
			continue
		}
		token, err := jwt.NewWithClaims(jwt.GetSigningMethod(k.algs[0]), g.claims(o, path)).SignedString(k.sign)
		if err != nil {
			return "", errors.New("the key cannot sign")
		}
		return token, nil
	}
	return "", errors.New("only public keys are configured: they check tokens, but cannot sign them")
}

func (g Grant) claims(o JWTOptions, path []string) jwt.MapClaims {
	now := time.Now()
	all := map[string]any{"iat": now.Unix(), "exp": now.Add(g.Lifetime).Unix()}
	if g.Subject != "" {
		all["sub"] = g.Subject
	}
	if o.Issuer != "" {
		all["iss"] = o.Issuer
	}
	if len(o.Audience) > 0 {
		all["aud"] = o.Audience[:1]
	}
	at := all
	for _, name := range path {
		nested := map[string]any{}
		at[name] = nested
		at = nested
	}
	if len(g.Subscribe) > 0 {
		at["subscribe"] = g.Subscribe
	}
	if len(g.Publish) > 0 {
		at["publish"] = g.Publish
	}
	if g.Admin {
		at["admin"] = true
	}
	return all
}

// TokenCommand is "gateway token": it mints a token from the arguments and the gateway's own settings, and writes it
// to stdout with a line break. The key comes from the environment only: arguments are seen by every process.
func TokenCommand(args []string, o JWTOptions, stdout io.Writer) error {
	var g Grant
	flags := flag.NewFlagSet("gateway token", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&g.Subject, "sub", "", "the `user`, who may follow their own inbox")
	flags.Func("subscribe", "`topics` to follow, split at |; * at the end of one stands for any rest; may be repeated", split(&g.Subscribe))
	flags.Func("publish", "`topics` to publish to, likewise; @name and @* are users' inboxes", split(&g.Publish))
	flags.BoolVar(&g.Admin, "admin", false, "list topics, see presence, close topics, cut users off")
	flags.DurationVar(&g.Lifetime, "exp", time.Hour, "how long the token lives")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		flags.Usage()
		return nil
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		return err
	}
	token, err := Mint(o, g)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, token)
	return err
}

func split(into *[]string) func(string) error {
	return func(value string) error {
		for name := range strings.SplitSeq(value, "|") {
			if name != "" {
				*into = append(*into, name)
			}
		}
		return nil
	}
}

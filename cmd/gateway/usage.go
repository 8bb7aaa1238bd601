package main

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

const usage = `gateway brings published events to browsers over Server-Sent Events.

  gateway                      run; needs no configuration: http://localhost:8000/ is its page
  gateway token [flags]        make a token from GATEWAY_JWT_KEY, for development
  gateway healthcheck [ready]  ask the gateway that runs here whether it is live, or ready
  gateway version              print the build

  gateway pub TOPIC [DATA]     publish to a gateway, this one or any other
  gateway sub TOPIC…           follow topics there
  gateway tail [PATTERN…]      follow all topics there

Each command takes -h. Exit codes: 0 drained or done, 1 failed while running, 2 wrong
configuration or usage. All configuration is by environment:

`

const healthcheckUsage = `gateway healthcheck [ready]

Asks the gateway that runs on this machine with the same configuration (GATEWAY_ADDR or
GATEWAY_ADMIN_ADDR, GATEWAY_TLS_CERT) whether it is live, or with "ready" whether it is ready
for requests. Exit codes: 0 it is, 1 it is not or does not answer within 3 s, 2 wrong usage.
`

const versionUsage = `gateway version

Prints the version, the commit, and the version of Go that this binary was built with.
`

// wantsHelp tells whether a command was asked what it does.
func wantsHelp(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" })
}

func printHelp(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}

// A variable is one line of the configuration's table.
type variable struct{ name, fallback, doc string }

// variables lists what can be set, in the order of the struct.
func variables() []variable {
	var list []variable
	for field := range reflect.TypeFor[config]().Fields() {
		if name := field.Tag.Get("env"); name != "" {
			list = append(list, variable{prefix + name, field.Tag.Get("envDefault"), field.Tag.Get("doc")})
		}
	}
	return list
}

// usageColumns is what the usage takes of a terminal's width.
const usageColumns = 100

// printUsage writes what -h shows.
func printUsage(w io.Writer) error {
	var b strings.Builder
	b.WriteString(usage)
	names, fallbacks := 0, 0
	for _, v := range variables() {
		names, fallbacks = max(names, len(v.name)), max(fallbacks, len(v.fallback))
	}
	for _, v := range variables() {
		line := fmt.Sprintf("  %-*s  %-*s  ", names, v.name, fallbacks, cmp.Or(v.fallback, "-"))
		indent := strings.Repeat(" ", len(line))
		for _, text := range wrap(v.doc, usageColumns-len(line)) {
			b.WriteString(line + text + "\n")
			line = indent
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap breaks text between words, into lines of at most width characters as far as its words allow.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(text) {
		size := utf8.RuneCountInString(word)
		if length > 0 && length+1+size > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+size
	}
	return append(lines, line)
}

// markdownTable is the same table as it stands in the README.
func markdownTable() string {
	var b strings.Builder
	b.WriteString("| variable | default | |\n|---|---|---|\n")
	for _, v := range variables() {
		fallback := ""
		if v.fallback != "" {
			fallback = "`" + v.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", v.name, fallback, strings.ReplaceAll(v.doc, "|", `\|`))
	}
	return b.String()
}

// nearest is the variable whose name is most like name, empty if none is close.
func nearest(name string) string {
	const most = 3
	best, found := most+1, ""
	for _, v := range variables() {
		if d := editDistance(name, v.name); d < best {
			best, found = d, v.name
		}
	}
	return found
}

// editDistance counts the insertions, deletions and replacements that make b of a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

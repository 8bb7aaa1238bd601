package main

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
)

const usage = `gateway brings published events to browsers over Server-Sent Events.

  gateway                      run; without configuration it is complete in itself, on http://localhost:8000/
  gateway token [flags]        make a token from GATEWAY_JWT_KEY, for development; -h lists the flags
  gateway healthcheck [ready]  ask the gateway that runs with the same configuration whether it is live, or ready
  gateway version              print the build

Exit codes: 0 drained, 1 failed while running, 2 wrong configuration. All configuration is by environment:

`

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

// printUsage writes what -h shows.
func printUsage(w io.Writer) error {
	if _, err := io.WriteString(w, usage); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range variables() {
		fallback := v.fallback
		if fallback == "" {
			fallback = "-"
		}
		if _, err := fmt.Fprintf(table, "  %s\t%s\t%s\n", v.name, fallback, v.doc); err != nil {
			return err
		}
	}
	return table.Flush()
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

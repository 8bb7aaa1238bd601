package httpapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sse-gateway/internal/auth"
)

// A counter that begins with its first event shows no increase, and no alert sees that event: each is there from the start.
func TestMetrics_CountersAreThereBeforeTheyCount(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	got := g.do(http.MethodGet, "/metrics", "").body
	others := []string{"busy", "cut-not-remembered", "cut-untold", "events-lost", "idle", "method-not-allowed", "misdirected", "not-now", "not-ready", "store-unavailable", "too-many-streams"} // of no event
	slugs := slices.DeleteFunc(literals(t, map[string]int{"newProblem": 1, "unavailable": 0}), func(slug string) bool {
		return slices.Contains(others, slug)
	})
	if len(slugs) < 10 {
		t.Fatalf("problems: %q", slugs)
	}
	for _, slug := range slugs {
		if series := `gateway_events_rejected_total{problem="` + slug + `"} 0`; !strings.Contains(got, series) {
			t.Errorf("no %s", series)
		}
	}
	for _, reason := range []string{"drain", "keys", "limit", "store"} {
		if series := `gateway_streams_refused_total{reason="` + reason + `"} 0`; !strings.Contains(got, series) {
			t.Errorf("no %s", series)
		}
	}
}

// literals are the texts that this package's code passes to functions, by the function's name and the argument's place.
func literals(t *testing.T, places map[string]int) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			function, ok := call.Fun.(*ast.Ident)
			if !ok {
				return true
			}
			place, ok := places[function.Name]
			if !ok {
				return true
			}
			if literal, ok := call.Args[place].(*ast.BasicLit); ok {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, text)
			}
			return true
		})
	}
	slices.Sort(found)
	return slices.Compact(found)
}

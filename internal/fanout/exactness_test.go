package fanout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const exactnessFile = "../../docs/exactness.md"

// The rules that the code names are those of the document, and the functions and tests that the document names are those of the
// code: whoever changes one side is told of the other.
func TestExactness_IsWhatTheCodeNames(t *testing.T) {
	rules := exactnessRules(t)
	known, named := namesOfCode(t)
	for number := range named {
		if _, ok := rules[number]; !ok {
			t.Errorf("%s names rule %d, which %s does not have", named[number], number, exactnessFile)
		}
	}
	for number, rule := range rules {
		if named[number] == "" {
			t.Errorf("no comment names rule %d", number)
		}
		if !strings.Contains(rule, "**What.**") || !strings.Contains(rule, "**Why.**") {
			t.Errorf("rule %d does not say what, or not why", number)
		}
		code, tests, found := strings.Cut(between(rule, "**Code.**", "\n\n"), "**Tests.**")
		if !found || len(quoted(code)) == 0 || len(quoted(tests)) == 0 {
			t.Errorf("rule %d names no code, or no test", number)
		}
		for _, name := range append(quoted(code), quoted(tests)...) {
			if !known[name] {
				t.Errorf("rule %d names %s, which there is not", number, name)
			}
		}
	}
	for n := 1; n <= len(rules); n++ {
		if _, ok := rules[n]; !ok {
			t.Errorf("the rules are not numbered from 1 on: there is no %d", n)
		}
	}
}

// exactnessRules returns the document's rules by number.
func exactnessRules(t *testing.T) map[int]string {
	t.Helper()
	text, err := os.ReadFile(exactnessFile)
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[int]string)
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		number, rule, _ := strings.Cut(section, ". ")
		n, err := strconv.Atoi(number)
		if err != nil || rules[n] != "" {
			t.Fatalf("a rule without a number of its own: %.40q", section)
		}
		rule, _, _ = strings.Cut(rule, "\n## ")
		rules[n] = rule + "\n\n"
	}
	return rules
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	inner, _, _ := strings.Cut(rest, to)
	return inner
}

// quoted returns what stands between backquotes.
func quoted(text string) []string {
	var all []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			all = append(all, part)
		}
	}
	return all
}

// namesOfCode returns the functions and methods of internal/, as package.Function and package.Type.Method, and the Lua scripts; and for
// each rule a file that names it.
func namesOfCode(t *testing.T) (known map[string]bool, named map[int]string) {
	t.Helper()
	known, named = make(map[string]bool), make(map[int]string)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".lua"):
			known[entry.Name()] = true
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			noteRules(named, path, luaComments(string(text)))
		case strings.HasSuffix(path, ".go"):
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			if err != nil {
				return err
			}
			noteFunctions(known, file)
			for _, group := range file.Comments {
				noteRules(named, path, group.Text())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return known, named
}

func noteFunctions(known map[string]bool, file *ast.File) {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := f.Name.Name
		if f.Recv != nil {
			receiver := f.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if ident, ok := receiver.(*ast.Ident); ok {
				name = ident.Name + "." + name
			}
		}
		known[strings.TrimSuffix(file.Name.Name, "_test")+"."+name] = true
	}
}

func luaComments(text string) string {
	var comments strings.Builder
	for line := range strings.Lines(text) {
		if _, comment, ok := strings.Cut(line, "--"); ok {
			comments.WriteString(comment)
		}
	}
	return comments.String()
}

// noteRules finds "rule 8" and "rules 8 and 17", also where a line ends within.
func noteRules(named map[int]string, path, comment string) {
	words := strings.Join(strings.Fields(comment), " ")
	for _, found := range regexp.MustCompile(`\b[Rr]ules? (\d+(?:(?:, | and )\d+)*)`).FindAllStringSubmatch(words, -1) {
		for _, number := range regexp.MustCompile(`\d+`).FindAllString(found[1], -1) {
			if n, err := strconv.Atoi(number); err == nil && filepath.Base(path) != "exactness_test.go" {
				named[n] = path
			}
		}
	}
}

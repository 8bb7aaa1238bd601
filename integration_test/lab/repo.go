package lab

import (
	"path/filepath"
	"runtime"
	"testing"
)

// RepoFile is the path of a file of the repository.
func RepoFile(t testing.TB, elements ...string) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the repository is not where the tests were built")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	return filepath.Join(append([]string{root}, elements...)...)
}

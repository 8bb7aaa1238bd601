package build

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	checkout := &debug.BuildInfo{
		GoVersion: "go1.26.0", Main: debug.Module{Version: "v0.0.0-2026+dirty"},
		Settings: []debug.BuildSetting{setting("vcs.revision", "4f2a"), setting("vcs.time", "2026-01-02T03:04:05Z"), setting("vcs.modified", "true")},
	}
	bare := &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Version: "(devel)"}}
	for name, tt := range map[string]struct {
		version, commit string
		noted           *debug.BuildInfo
		want            string
	}{
		"a checkout":                       {"", "", checkout, "v0.0.0-2026+dirty (commit 4f2a, of 2026-01-02T03:04:05Z, modified, go1.26.0)"},
		"a checkout of a release":          {"v1.2.3", "4f2a", checkout, "v1.2.3 (commit 4f2a, of 2026-01-02T03:04:05Z, modified, go1.26.0)"},
		"an image":                         {"v1.2.3", "4f2a", bare, "v1.2.3 (commit 4f2a, go1.26.0)"},
		"an image that was told nothing":   {"", "", bare, "unknown (go1.26.0)"},
		"a binary that has been made mute": {"", "", nil, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(tt.version, tt.commit, tt.noted).String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The linker ignores names that do not exist: a renamed variable would go unnoticed.
func TestRead_FromTheLinker(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "gateway")
	const path = "sse-gateway/internal/build."
	flags := "-ldflags=-X " + path + "version=v1.2.3 -X " + path + "commit=4f2a"
	if out, err := exec.Command("go", "build", "-buildvcs=false", flags, "-o", binary, "sse-gateway/cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(binary, "version").CombinedOutput()
	if want := "gateway v1.2.3 (commit 4f2a, go1."; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("got %q, %v, want %q…", out, err, want)
	}
}

// Package build says which build of the gateway this is.
package build

import (
	"runtime/debug"
	"strings"
)

// Set by the linker where the compiler cannot see the repository, as in an image:
//
//	go build -ldflags "-X sse-gateway/internal/build.version=v1.2.3 -X sse-gateway/internal/build.commit=4f2a…"
//
//nolint:gochecknoglobals // the linker can set nothing else
var version, commit string

// Info is what is known of a build.
type Info struct {
	Version  string `json:"version"`            // a tag, or made of the commit; "unknown" if nobody has said
	Revision string `json:"revision,omitempty"` // the commit
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified bool   `json:"modified"`           // the files were not quite those of the commit
	Go       string `json:"go"`                 // the compiler
}

// Read returns what the linker was told and, for the rest, what the compiler has noted about the binary.
func Read() Info {
	noted, _ := debug.ReadBuildInfo()
	return read(version, commit, noted)
}

func read(version, commit string, noted *debug.BuildInfo) Info {
	info := Info{Version: version, Revision: commit}
	if noted != nil {
		info.Go = noted.GoVersion
		for _, setting := range noted.Settings {
			switch setting.Key {
			case "vcs.revision":
				info.Revision = setting.Value
			case "vcs.time":
				info.Time = setting.Value
			case "vcs.modified":
				info.Modified = setting.Value == "true"
			}
		}
		if info.Version == "" && noted.Main.Version != "(devel)" { // which says nothing
			info.Version = noted.Main.Version
		}
	}
	if info.Version == "" {
		info.Version = "unknown"
	}
	return info
}

// String is the build in one line.
func (i Info) String() string {
	var known []string
	if i.Revision != "" {
		known = append(known, "commit "+i.Revision)
	}
	if i.Time != "" {
		known = append(known, "of "+i.Time)
	}
	if i.Modified {
		known = append(known, "modified")
	}
	if i.Go != "" {
		known = append(known, i.Go)
	}
	if len(known) == 0 {
		return i.Version
	}
	return i.Version + " (" + strings.Join(known, ", ") + ")"
}

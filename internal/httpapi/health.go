package httpapi

import (
	"net/http"
	"runtime/debug"
)

type healthAnswer struct {
	Status string `json:"status"`
}

// healthz tells that the process answers.
func (a *API) healthz(w http.ResponseWriter, _ *http.Request) error {
	answer(w, healthAnswer{Status: "live"})
	return nil
}

// readyz tells whether the gateway should get requests.
func (a *API) readyz(w http.ResponseWriter, _ *http.Request) error {
	switch {
	case a.isDraining():
		return unavailable("not-ready", "Not ready", "this replica is about to stop")
	case a.hub.Ready() != nil:
		return unavailable("not-ready", "Not ready", "the event store is unavailable")
	case a.opts.KeysReady() != nil:
		return unavailable("not-ready", "Not ready", "the keys that tokens are checked with are unavailable")
	}
	answer(w, healthAnswer{Status: "ready"})
	return nil
}

type versionAnswer struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
}

func (a *API) version(w http.ResponseWriter, _ *http.Request) error {
	answer(w, a.build)
	return nil
}

// readBuild reads what the compiler has noted about the binary.
func readBuild() versionAnswer {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versionAnswer{Version: "unknown"}
	}
	build := versionAnswer{Version: info.Main.Version, Go: info.GoVersion}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build.Revision = setting.Value
		case "vcs.time":
			build.Time = setting.Value
		case "vcs.modified":
			build.Modified = setting.Value == "true"
		}
	}
	return build
}

package httpapi

import "net/http"

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

func (a *API) version(w http.ResponseWriter, _ *http.Request) error {
	answer(w, a.build)
	return nil
}

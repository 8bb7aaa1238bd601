package httpapi

import (
	"errors"
	"net/http"

	"sse-gateway/internal/broker"
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
	storeErr := a.hub.Ready()
	switch {
	case a.isDraining():
		return unavailable("not-ready", "Not ready", "this replica is about to stop")
	case storeErr != nil:
		return unavailable("not-ready", "Not ready", storeDetail(storeErr))
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

// storeDetail says what is wrong with Redis, without what only the operator may know.
func storeDetail(err error) string {
	if errors.Is(err, broker.ErrForeign) {
		return broker.ErrForeign.Error()
	}
	if errors.Is(err, broker.ErrRefused) {
		return "Redis refuses what the gateway asks of it; the gateway's log has its words"
	}
	if errors.Is(err, broker.ErrFull) {
		return "the event store is full of what it cannot let go; GATEWAY_EMBEDDED_BYTES sets its size"
	}
	return "the event store is unavailable"
}

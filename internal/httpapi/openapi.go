package httpapi

import (
	_ "embed"
	"net/http"
)

// openapiDocument describes the surface. It is written by hand; tests hold it against the routes, the problems, and every answer
// that the tests of this package get.
//
//go:embed openapi.json
var openapiDocument []byte

func (a *API) openapi(w http.ResponseWriter, _ *http.Request) error {
	jsonHeaders(w, "application/json")
	_, _ = w.Write(openapiDocument) // an error: the client has gone
	return nil
}

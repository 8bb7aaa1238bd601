package httpapi

import (
	"net/http"
	"net/http/pprof"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/web"
)

const publishPath = "/publish"

// Routes is the gateway's whole HTTP surface.
func (a *API) Routes() http.Handler {
	r := chi.NewRouter()
	r.Use(escaped, a.observe, secure, a.timed)
	if _, trusting := a.who.(auth.None); trusting {
		r.Use(a.named)
	}
	r.Use(a.cors, middleware.GetHead)
	r.NotFound(a.handle(a.notFound))
	r.MethodNotAllowed(a.handle(a.methodNotAllowed))

	r.Get("/subscribe", a.handle(a.subscribe))
	r.Post(publishPath, a.handle(a.publish))

	r.Get("/topics", a.handle(a.listTopics))
	r.Get("/topics/{topic}", a.handle(a.showTopic))
	r.Get("/topics/{topic}/events", a.handle(a.topicEvents))
	r.Post("/topics/{topic}/close", a.handle(a.closeTopic))
	r.Post("/topics/{topic}/stop", a.handle(a.stopTopic))

	r.Get("/users/me", a.handle(a.showMe))
	r.Get("/users/{user}", a.handle(a.showUser))
	r.Get("/users/{user}/events", a.handle(a.userEvents))
	r.Delete("/users/{user}/streams", a.handle(a.cutUser))

	r.Get("/openapi.json", a.handle(a.openapi))
	page := web.Handler()
	r.Method(http.MethodGet, "/", page)
	r.Method(http.MethodGet, "/assets/*", page)
	r.Method(http.MethodGet, "/gateway.js", page)
	r.Method(http.MethodGet, "/gateway.d.ts", page)

	a.healthRoutes(r)
	if !a.opts.AdminElsewhere {
		r.Method(http.MethodGet, "/metrics", a.metrics.handler())
	}
	return r
}

// AdminRoutes is the surface of the operators' own port.
func (a *API) AdminRoutes() http.Handler {
	r := chi.NewRouter()
	r.Use(escaped, a.observe, secure, a.named)
	r.NotFound(a.handle(a.notFound))
	r.MethodNotAllowed(a.handle(a.methodNotAllowed))

	a.healthRoutes(r)
	r.Method(http.MethodGet, "/metrics", a.metrics.handler())
	r.HandleFunc("/debug/pprof/*", pprof.Index)
	r.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	r.HandleFunc("/debug/pprof/profile", pprof.Profile)
	r.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	r.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return r
}

func (a *API) healthRoutes(r chi.Router) {
	r.Get("/healthz", a.handle(a.healthz))
	r.Get("/readyz", a.handle(a.readyz))
	r.Get("/version", a.handle(a.version))
}

// handle lets a handler return its error instead of answering it.
func (a *API) handle(serve func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *API) notFound(_ http.ResponseWriter, r *http.Request) error { return noRoute(r) }

func noRoute(r *http.Request) error { return notFound("there is nothing at %s", shorten(r.URL.Path)) }

func (a *API) methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	methods := a.methods(r)
	if methods == "" { // the router asks for the method first
		return noRoute(r)
	}
	w.Header().Set("Allow", methods)
	return newProblem(http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "%s takes only %s", shorten(r.URL.Path), methods)
}

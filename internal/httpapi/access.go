package httpapi

import (
	"net/http"

	"sse-gateway/internal/address"
	"sse-gateway/internal/auth"
)

// identify finds out who a request comes from, and refuses what another site's page made a browser send: with its
// user's cookie always, and without any token where the request would change something.
func (a *API) identify(r *http.Request) (auth.Identity, error) {
	who, err := a.who.Authenticate(r)
	if err != nil {
		return auth.Identity{}, err
	}
	risky := who.Source == auth.SourceCookie ||
		(who.Source == auth.SourceNone && !isSafe(r.Method) && !a.anyOrigin())
	if risky && auth.ForeignOrigin(r, a.opts.CORSOrigins) {
		return auth.Identity{}, forbidden("origin: pages of another site may not do this; list theirs in GATEWAY_CORS_ORIGINS")
	}
	return who, nil
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// admin identifies the request and refuses it unless it may do everything.
func (a *API) admin(r *http.Request) (auth.Identity, error) {
	who, err := a.identify(r)
	if err != nil {
		return who, err
	}
	return who, mustAdmin(who)
}

func mustAdmin(who auth.Identity) error {
	if !who.Admin {
		return forbidden("token: it lacks the claim admin")
	}
	return nil
}

// knownTopic holds the allow-list of topics.
func (a *API) knownTopic(topic string) error {
	if !a.topics.allows(topic) {
		return notFound("topic: there is no topic %s", shorten(topic))
	}
	return nil
}

// knownUser holds the allow-list of users.
func (a *API) knownUser(user string) error {
	if !a.users.allows(user) {
		return forbidden("user: %s is not allowed here", shorten(user))
	}
	return nil
}

func (a *API) maySubscribe(who auth.Identity, topic string) error {
	if err := a.knownTopic(topic); err != nil {
		return err
	}
	if !who.MaySubscribe(topic) {
		return forbidden("topic: the token does not allow to subscribe to %s", shorten(topic))
	}
	return nil
}

// maySubscribeInbox tells what keeps the request from following the user's personal events.
func (a *API) maySubscribeInbox(who auth.Identity, user string) error {
	if err := a.knownUser(user); err != nil {
		return err
	}
	if !who.MaySubscribeInbox(user) {
		return forbidden("user: the token is not that of %s", shorten(user))
	}
	return nil
}

func (a *API) mayPublish(who auth.Identity, to address.Address) error {
	if to.Kind == address.User {
		if err := a.knownUser(to.Name); err != nil {
			return err
		}
		if !who.MayPublishInbox(to.Name) {
			return forbidden("user: the token does not allow to publish to %s", shorten(to.Name))
		}
		return nil
	}
	if err := a.knownTopic(to.Name); err != nil {
		return err
	}
	if !who.MayPublish(to.Name) {
		return forbidden("topic: the token does not allow to publish to %s", shorten(to.Name))
	}
	return nil
}

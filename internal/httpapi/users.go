package httpapi

import (
	"net/http"

	"sse-gateway/internal/address"
	"sse-gateway/internal/auth"
)

type userAnswer struct {
	User    string `json:"user"`
	Online  bool   `json:"online"`
	Streams int    `json:"streams"`
	Partial bool   `json:"partial,omitempty"` // a replica did not answer in time
}

func (a *API) showUser(w http.ResponseWriter, r *http.Request) error {
	who, user, err := a.userInPath(r)
	if err != nil {
		return err
	}
	if err := a.knownUser(user); err != nil {
		return err
	}
	if !who.Admin && who.Subject != user {
		return forbidden("user: only %s or an admin may see whether they are online", shorten(user))
	}
	info, err := a.hub.Topic(r.Context(), address.OfUser(user).String())
	if err != nil {
		return err
	}
	answer(w, userAnswer{User: user, Online: info.Subscribers > 0, Streams: info.Subscribers, Partial: info.Partial})
	return nil
}

func (a *API) userEvents(w http.ResponseWriter, r *http.Request) error {
	who, user, err := a.userInPath(r)
	if err != nil {
		return err
	}
	if err := a.maySubscribeInbox(who, user); err != nil {
		return err
	}
	return a.history(w, r, who, address.OfUser(user).String())
}

func (a *API) cutUser(w http.ResponseWriter, r *http.Request) error {
	who, user, err := a.userInPath(r)
	if err != nil {
		return err
	}
	if err := mustAdmin(who); err != nil {
		return err
	}
	// With tokens a subject that is not listed may still have streams of topics, and is to be cut off all the same.
	if err := a.knownUser(user); err != nil && who.Anonymous() {
		return err
	}
	if err := a.hub.Cut(r.Context(), user); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// userInPath identifies the request and checks the name of the path's user, but not whether it is listed.
func (a *API) userInPath(r *http.Request) (auth.Identity, string, error) {
	who, err := a.identify(r)
	if err != nil {
		return who, "", err
	}
	user, err := nameInPath(r, "user")
	if err != nil {
		return who, "", err
	}
	if err := checkUser("user", user); err != nil {
		return who, "", err
	}
	return who, user, nil
}

package auth

import (
	"slices"
	"time"

	"sse-gateway/internal/address"
)

// Source is where in the request the token was.
type Source uint8

// The sources, in the order in which they are looked at.
const (
	SourceNone   Source = iota // AUTH=none
	SourceBearer               // Authorization: Bearer
	SourceCookie               // sent by the browser on its own: ForeignOrigin must be asked
	SourceQuery                // access_token, for EventSource, which cannot set headers
)

// Identity is who a request comes from and what they may do. The zero Identity may do nothing.
type Identity struct {
	Subject  string    // the user; empty for a token without sub, and with AUTH=none
	Admin    bool      // may list topics, see presence, close topics and cut users off
	IssuedAt time.Time // zero: the token does not say
	Expires  time.Time // when streams of this identity end; zero: never, only with AUTH=none
	Source   Source

	anonymous bool     // AUTH=none: may do everything
	subscribe []string // patterns of topics
	publish   []string // patterns of topics, and of inboxes, which start with "@"
	client    string   // stands for Subject in Publisher where there is none
}

// Anonymous reports whether this is the identity of AUTH=none, whose user is the one that the request names.
func (id Identity) Anonymous() bool { return id.anonymous }

// Publisher names whoever publishes with this identity, for the scope of their idempotency keys: the subject, or what else
// tells one service from another and stays the same when it renews its token. It is empty with AUTH=none.
func (id Identity) Publisher() string {
	if id.Subject != "" {
		return id.Subject
	}
	return id.client
}

// Subscribes lists the patterns of topics that the identity may follow.
func (id Identity) Subscribes() []string {
	if id.anonymous {
		return []string{"*"}
	}
	return slices.Clone(id.subscribe)
}

// Publishes lists the patterns of topics and, with "@", of inboxes that the identity may publish to.
func (id Identity) Publishes() []string {
	if id.anonymous {
		return []string{"*", "@*"}
	}
	return slices.Clone(id.publish)
}

// MaySubscribe reports whether the identity may follow topic and read its history. A name that starts with "@" is no
// topic, whatever the token grants.
func (id Identity) MaySubscribe(topic string) bool {
	return isTopic(topic) && (id.anonymous || granted(id.subscribe, topic))
}

// MayPublish reports whether the identity may publish to topic. A name that starts with "@" is no topic.
func (id Identity) MayPublish(topic string) bool {
	return isTopic(topic) && (id.anonymous || granted(id.publish, topic))
}

// MayPublishAny reports whether there is anything that the identity may publish to: what can be told without knowing where.
func (id Identity) MayPublishAny() bool {
	return id.anonymous || slices.ContainsFunc(id.publish, func(pattern string) bool { return pattern != "" })
}

// MaySubscribeInbox reports whether the identity may follow user's personal events and read their history: those of
// its own subject always, nobody else's ever.
func (id Identity) MaySubscribeInbox(user string) bool {
	return user != "" && (id.anonymous || user == id.Subject)
}

// MayPublishInbox reports whether the identity may send user personal events: by "@name" or "@*" in its publish claim.
func (id Identity) MayPublishInbox(user string) bool {
	return user != "" && (id.anonymous || granted(id.publish, address.OfUser(user).String()))
}

func isTopic(name string) bool { return name != "" && address.KindOf(name) == address.Topic }

// granted reports whether one of the patterns covers an address.
func granted(patterns []string, written string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return address.MatchWritten(pattern, written) })
}

// isName reports whether s can be the name of a user, by the rules that hold wherever a request names one: a subject that
// broke them could follow topics, but nobody could cut it off.
func isName(s string) bool {
	return address.CheckName(s) == nil
}

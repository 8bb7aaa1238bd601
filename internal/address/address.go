// Package address names whom an event is for: a topic, whose events whoever may follow it gets, or a user, whose personal events
// only that user gets. It is the one place that knows how an address is written where both kinds stand side by side: in the
// event store, in patterns of tokens, between replicas.
//
// A further kind is a constant here, with its Prefix, and what is to differ for it: its fields in events, and who may follow it and
// publish to it.
package address

import "strings"

// An Address is whom an event is for.
type Address struct {
	Kind Kind
	Name string // within the kind
}

// Kind is what kind of address it is.
type Kind uint8

// The kinds of addresses.
const (
	Topic Kind = iota
	User
)

// kindCount is how many there are.
const kindCount = User + 1

// Prefix is what the written form of a kind's addresses begins with. That of topics has none; so the name of a topic may not begin
// with any other's.
func (k Kind) Prefix() string {
	if k == User {
		return "@"
	}
	return ""
}

// Public tells whether addresses of the kind are listed, and can be closed.
func (k Kind) Public() bool { return k == Topic }

// OfTopic is the address of a topic.
func OfTopic(name string) Address { return Address{Kind: Topic, Name: name} }

// OfUser is the address of a user.
func OfUser(name string) Address { return Address{Kind: User, Name: name} }

// Parse reads an address from its written form. Every text is one.
func Parse(written string) Address {
	kind := KindOf(written)
	return Address{Kind: kind, Name: written[len(kind.Prefix()):]}
}

// KindOf is the kind of an address in its written form, or of a pattern of such.
func KindOf(written string) Kind {
	for kind := Topic + 1; kind < kindCount; kind++ {
		if strings.HasPrefix(written, kind.Prefix()) {
			return kind
		}
	}
	return Topic
}

// String is the written form: "robot" for a topic, "@jack" for a user.
func (a Address) String() string { return a.Kind.Prefix() + a.Name }

// Fields are the fields of events that say whom they are for. One of them is set.
func (a Address) Fields() (topic, user string) {
	if a.Kind == User {
		return "", a.Name
	}
	return a.Name, ""
}

package auth

import (
	"strings"
	"testing"
)

func TestIdentity_GrantsByPattern(t *testing.T) {
	for _, tt := range []struct {
		name, pattern, topic string
		want                 bool
	}{
		{"equal", "chat", "chat", true},
		{"prefix without star", "chat", "chat.1", false},
		{"star", "chat.*", "chat.1", true},
		{"star stands for nothing too", "chat.*", "chat.", true},
		{"star of another prefix", "chat.*", "chatter", false},
		{"everything", "*", "chat", true},
		{"everything is no inbox", "*", "@jack", false},
		{"star in the middle is itself", "a*c", "abc", false},
		{"star in the middle, equal", "a*c", "a*c", true},
		{"two stars", "a**", "a*b", true},
		{"empty pattern", "", "chat", false},
		{"empty topic", "*", "", false},
		{"inbox pattern in topics", "@jack", "@jack", false},
		{"inboxes pattern in topics", "@*", "@jack", false},
		{"case counts", "Chat", "chat", false},
		{"no path is resolved", "a/*", "a/../b", true},
		{"no path is resolved into", "b", "a/../b", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := Identity{subscribe: []string{"x", tt.pattern}, publish: []string{tt.pattern}}
			if got := id.MaySubscribe(tt.topic); got != tt.want {
				t.Errorf("MaySubscribe(%q) with %q = %v, want %v", tt.topic, tt.pattern, got, tt.want)
			}
			if got := id.MayPublish(tt.topic); got != tt.want {
				t.Errorf("MayPublish(%q) with %q = %v, want %v", tt.topic, tt.pattern, got, tt.want)
			}
		})
	}
}

func TestIdentity_FollowsOnlyItsOwnInbox(t *testing.T) {
	everything := []string{"*", "@*", "@jill", "@jill*"}
	for _, tt := range []struct {
		name, subject, user string
		want                bool
	}{
		{"own", "jack", "jack", true},
		{"another's", "jack", "jill", false},
		{"another's by case", "jack", "Jack", false},
		{"nobody's", "jack", "", false},
		{"without a subject", "", "jill", false},
		{"without either", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := Identity{Subject: tt.subject, Admin: true, subscribe: everything, publish: everything}
			if got := id.MaySubscribeInbox(tt.user); got != tt.want {
				t.Errorf("MaySubscribeInbox(%q) of %q = %v, want %v", tt.user, tt.subject, got, tt.want)
			}
		})
	}
}

func TestIdentity_PublishesToInboxesByName(t *testing.T) {
	for _, tt := range []struct {
		name, pattern, user string
		want                bool
	}{
		{"by name", "@jill", "jill", true},
		{"all", "@*", "jill", true},
		{"some", "@team-*", "team-a", true},
		{"others", "@team-*", "jill", false},
		{"a topic of that name", "jill", "jill", false},
		{"every topic", "*", "jill", false},
		{"nobody's", "@*", "", false},
		{"own, not granted", "x", "jack", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := Identity{Subject: "jack", publish: []string{tt.pattern}}
			if got := id.MayPublishInbox(tt.user); got != tt.want {
				t.Errorf("MayPublishInbox(%q) with %q = %v, want %v", tt.user, tt.pattern, got, tt.want)
			}
		})
	}
}

func TestIdentity_ZeroMayDoNothing(t *testing.T) {
	var id Identity
	if id.Admin || id.Anonymous() || id.MaySubscribe("t") || id.MayPublish("t") || id.MaySubscribeInbox("u") || id.MayPublishInbox("u") {
		t.Error("the zero identity may do something")
	}
}

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		"jack": true, "auth0|5f": true, "张三": true, "a b": true, strings.Repeat("x", 255): true,
		"": false, strings.Repeat("x", 256): false, "a\nb": false, "a\x00": false, "a\x7f": false, "a\u0085": false, "\xff": false,
		"a\u202eb": false, "a\u2066b": false, "\u200fשלום": true,
	} {
		if got := isName(name); got != want {
			t.Errorf("isName(%.20q) = %v, want %v", name, got, want)
		}
	}
}

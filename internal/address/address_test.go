package address

import (
	"strings"
	"testing"
)

func TestAddress_IsReadAsItWasWritten(t *testing.T) {
	for _, a := range []Address{OfTopic("robot"), OfUser("jack"), OfUser("@jack"), OfUser(""), OfTopic(""), OfTopic("a@b")} {
		if got := Parse(a.String()); got != a {
			t.Errorf("%+v is written %q, and read as %+v", a, a, got)
		}
	}
	if topic, user := OfTopic("robot").Fields(); topic != "robot" || user != "" {
		t.Errorf("a topic's fields are %q and %q", topic, user)
	}
	if topic, user := OfUser("jack").Fields(); topic != "" || user != "jack" {
		t.Errorf("a user's fields are %q and %q", topic, user)
	}
	if !Topic.Public() || User.Public() {
		t.Error("topics are public, users are not")
	}
}

func TestMatchWritten_StaysWithinAKind(t *testing.T) {
	for _, tt := range []struct {
		pattern, written string
		want             bool
	}{
		{"robot", "robot", true},
		{"robot", "robots", false},
		{"robot*", "robot", true},
		{"robot*", "robots", true},
		{"*", "robot", true},
		{"*", "@jack", false},
		{"@*", "@jack", true},
		{"@*", "robot", false},
		{"@j*", "@jack", true},
		{"@jack", "@jack", true},
		{"@jack", "jack", false},
		{"", "", true},
		{"", "robot", false},
		{"a*", "a*", true},
	} {
		if got := MatchWritten(tt.pattern, tt.written); got != tt.want {
			t.Errorf("%q covers %q: %t, want %t", tt.pattern, tt.written, got, tt.want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]string{
		"robot":                        "",
		"שלום\u200f":                   "",
		"@jack":                        "", // a user may be called so
		strings.Repeat("a", MaxName):   "",
		strings.Repeat("a", MaxName+1): "longer than 255 bytes",
		"":                             "must not be empty",
		"a\xff":                        "not valid UTF-8",
		"a\nb":                         "holds the control character U+000A",
		"a\u202eb":                     "holds the text direction character U+202E",
		"\u2066":                       "holds the text direction character U+2066",
	} {
		got := ""
		if err := CheckName(name); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.20q: got %q, want %q", name, got, want)
		}
	}
}

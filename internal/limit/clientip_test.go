package limit

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func trust(t testing.TB, entries ...string) []netip.Prefix {
	t.Helper()
	trusted, err := ParseTrusted(entries)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func TestClientIP(t *testing.T) {
	for _, tt := range []struct {
		name, peer string
		trusted    []string
		lines      []string
		want       string // empty: none
	}{
		{name: "peer", peer: "203.0.113.7:4000", want: "203.0.113.7"},
		{name: "peer, forged header", peer: "203.0.113.7:4000", lines: []string{"1.1.1.1"}, want: "203.0.113.7"},
		{name: "untrusted peer, forged header", peer: "203.0.113.7:4000", trusted: []string{"loopback"}, lines: []string{"1.1.1.1"}, want: "203.0.113.7"},
		{name: "trusted peer without the header", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, want: "127.0.0.1"},
		{name: "trusted peer", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"203.0.113.7"}, want: "203.0.113.7"},
		{name: "forged entries on the left", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"1.1.1.1, 127.0.0.1, 203.0.113.7"}, want: "203.0.113.7"},
		{name: "forged line before", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"1.1.1.1", "203.0.113.7"}, want: "203.0.113.7"},
		{name: "two proxies", peer: "127.0.0.1:4000", trusted: []string{"loopback", "10.0.0.0/8"}, lines: []string{"203.0.113.7, 10.1.2.3"}, want: "203.0.113.7"},
		{name: "two proxies, two lines", peer: "127.0.0.1:4000", trusted: []string{"loopback", "10.0.0.0/8"}, lines: []string{"1.1.1.1,203.0.113.7", "10.1.2.3"}, want: "203.0.113.7"},
		{name: "trusted all the way", peer: "127.0.0.1:4000", trusted: []string{"loopback", "private"}, lines: []string{"10.0.0.1, 10.0.0.2"}, want: "10.0.0.1"},
		{name: "garbage on the right", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"203.0.113.7, unknown"}, want: "127.0.0.1"},
		{name: "garbage behind a proxy", peer: "127.0.0.1:4000", trusted: []string{"loopback", "private"}, lines: []string{"203.0.113.7, <script>, 10.0.0.1"}, want: "10.0.0.1"},
		{name: "garbage left of the client", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"nonsense, 203.0.113.7"}, want: "203.0.113.7"},
		{name: "empty entry", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"203.0.113.7, "}, want: "127.0.0.1"},
		{name: "empty line", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{""}, want: "127.0.0.1"},
		{name: "with ports", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"203.0.113.7:1234"}, want: "203.0.113.7"},
		{name: "IPv6", peer: "[::1]:4000", trusted: []string{"loopback"}, lines: []string{"2001:db8::7"}, want: "2001:db8::7"},
		{name: "IPv6 in brackets", peer: "[::1]:4000", trusted: []string{"loopback"}, lines: []string{"[2001:db8::7]"}, want: "2001:db8::7"},
		{name: "IPv6 with a port", peer: "[::1]:4000", trusted: []string{"loopback"}, lines: []string{"[2001:db8::7]:99"}, want: "2001:db8::7"},
		{name: "IPv6 with a zone", peer: "[fe80::1%eth0]:4000", trusted: []string{"private"}, lines: []string{"2001:db8::7%x"}, want: "2001:db8::7"},
		{name: "half a bracket", peer: "[::1]:4000", trusted: []string{"loopback"}, lines: []string{"[2001:db8::7"}, want: "::1"},
		{name: "IPv4 in brackets", peer: "[::1]:4000", trusted: []string{"loopback"}, lines: []string{"[1.2.3.4]"}, want: "::1"},
		{name: "mapped peer", peer: "[::ffff:127.0.0.1]:4000", trusted: []string{"127.0.0.1"}, lines: []string{"203.0.113.7"}, want: "203.0.113.7"},
		{name: "mapped entry", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"::ffff:203.0.113.7"}, want: "203.0.113.7"},
		{name: "mapped entry of a proxy", peer: "127.0.0.1:4000", trusted: []string{"loopback", "10.0.0.0/8"}, lines: []string{"203.0.113.7, ::ffff:10.0.0.1"}, want: "203.0.113.7"},
		{name: "octal is no address", peer: "127.0.0.1:4000", trusted: []string{"loopback"}, lines: []string{"010.0.0.1"}, want: "127.0.0.1"},
		{name: "more hops than there are proxies", peer: "127.0.0.1:4000", trusted: []string{"loopback", "10.0.0.0/8"}, lines: []string{"203.0.113.7" + strings.Repeat(",10.0.0.1", 70)}, want: "10.0.0.1"},
		{name: "no address", peer: "@", trusted: []string{"loopback"}, lines: []string{"203.0.113.7"}},
		{name: "nothing", peer: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: tt.peer, Header: http.Header{"X-Forwarded-For": tt.lines}}
			got := ClientIP(r, trust(t, tt.trusted...))
			if want := tt.want; want == "" && got.IsValid() || want != "" && got.String() != want {
				t.Errorf("ClientIP = %s, want %q", got, want)
			}
		})
	}
}

func TestParseTrusted(t *testing.T) {
	for entry, want := range map[string]string{
		"10.1.2.3/8": "10.0.0.0/8", " 192.0.2.1 ": "192.0.2.1/32", "2001:db8::1": "2001:db8::1/128", "2001:db8::1/32": "2001:db8::/32",
		"::ffff:10.1.0.0/112": "10.1.0.0/16", "::ffff:10.0.0.1": "10.0.0.1/32", "0.0.0.0/0": "0.0.0.0/0", "fe80::1%eth0": "fe80::1/128",
	} {
		if got := trust(t, entry); len(got) != 1 || got[0].String() != want {
			t.Errorf("ParseTrusted(%q) = %v, want %s", entry, got, want)
		}
	}
	if got := trust(t, "", "loopback", "private"); len(got) != 8 {
		t.Errorf("got %v, want 2 prefixes of loopback and 6 private ones", got)
	}
	_, err := ParseTrusted([]string{"10.0.0.1", "proxy.example.com", "10.0.0.0/33", "::ffff:0:0/90"})
	for _, bad := range []string{`"proxy.example.com"`, `"10.0.0.0/33"`, `"::ffff:0:0/90"`} {
		if err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("error %v does not name %s", err, bad)
		}
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "::ffff:203.0.113.7": "203.0.113.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("Network(%s) = %s, want %s", addr, got, want)
		}
	}
	if Network(netip.Addr{}).IsValid() {
		t.Error("the network of no address is valid")
	}
}

func FuzzClientIP(f *testing.F) {
	f.Add("127.0.0.1:1", "1.1.1.1, 203.0.113.7", "10.0.0.1")
	f.Add("[::1]:1", "[2001:db8::1%z]:443,, ", "unknown")
	f.Add("[::ffff:127.0.0.1]:1", "::ffff:1.2.3.4", "127.0.0.1:80")
	f.Add("203.0.113.7:1", "127.0.0.1", "\x00,\xff")
	f.Add("@", ",", strings.Repeat("10.0.0.1,", 100))
	trusted := trust(f, "loopback", "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, peer, first, second string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {first, second}}}
		got := ClientIP(r, trusted)
		alone := ClientIP(&http.Request{RemoteAddr: peer}, trusted)
		if got.IsValid() != alone.IsValid() || got.Is4In6() || got.Zone() != "" {
			t.Errorf("ClientIP = %#v of peer %s", got, alone)
		}
		if !isTrusted(alone, trusted) && got != alone {
			t.Errorf("believed the header of untrusted %s: %s", alone, got)
		}
		joined := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {first + "," + second}}}
		if other := ClientIP(joined, trusted); other != got {
			t.Errorf("two lines give %s, one line gives %s", got, other)
		}
		if !isTrusted(got, trusted) { // what a client puts on the left changes nothing
			forged := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {"6.6.6.6", first, second}}}
			if other := ClientIP(forged, trusted); other != got {
				t.Errorf("an entry on the left changed %s to %s", got, other)
			}
		}
	})
}

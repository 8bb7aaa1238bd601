package redis

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]target{
		"redis://localhost":                  {addrs: []string{"localhost:6379"}},
		"REDIS://localhost:1/":               {addrs: []string{"localhost:1"}},
		"redis://user:pass@h:1/3":            {addrs: []string{"h:1"}, username: "user", password: "pass", db: 3},
		"redis://:p%40s%2Fs%25:x@redis_1:1":  {addrs: []string{"redis_1:1"}, password: "p@s/s%:x"},
		"redis://[::1]:7/0":                  {addrs: []string{"[::1]:7"}},
		"redis://[fe80::1%25eth0]":           {addrs: []string{"[fe80::1%eth0]:6379"}},
		"rediss://h:1":                       {tls: true, addrs: []string{"h:1"}},
		"redis+sentinel://a,b:2,[::1]:3/m":   {kind: sentinel, addrs: []string{"a:26379", "b:2", "[::1]:3"}, master: "m"},
		"redis+sentinel://:pw@a:1/my%20m/2/": {kind: sentinel, addrs: []string{"a:1"}, master: "my m", password: "pw", db: 2},
		"rediss+sentinel://a:1/m":            {kind: sentinel, tls: true, addrs: []string{"a:1"}, master: "m"},
		"redis+cluster://a:1,b:2,[::1]:3/0":  {kind: cluster, addrs: []string{"a:1", "b:2", "[::1]:3"}},
		"unix:///run/redis/my%20redis.sock":  {addrs: []string{"/run/redis/my redis.sock"}},
		"unix://u:p@/run/redis.sock?db=4":    {addrs: []string{"/run/redis.sock"}, username: "u", password: "p", db: 4},
		// As the consoles of two providers show them.
		"rediss://default:AYNgAS2553feg6a2140842h9eg37dca4@gusc1-cute-frog-31245.upstash.io:6379": {
			tls: true, addrs: []string{"gusc1-cute-frog-31245.upstash.io:6379"}, username: "default", password: "AYNgAS2553feg6a2140842h9eg37dca4",
		},
		"rediss+cluster://clustercfg.chat.x1y2z3.euc1.cache.amazonaws.com:6379": {
			kind: cluster, tls: true, addrs: []string{"clustercfg.chat.x1y2z3.euc1.cache.amazonaws.com:6379"},
		},
	} {
		if got, err := parseURL(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
}

// Whatever would be ignored, or read otherwise than it was meant, is refused, and the message says what it is.
func TestParseURL_SaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "want redis://",
		"redis":            "does not begin with redis://",
		"secret-host:6379": "does not begin with redis://",
		"clustercfg.chat.secret.use1.cache.amazonaws.com:6379": "redis+cluster://",
		"http://secret@h":                 "Redis's own",
		"https://secret-31245.upstash.io": "Redis's own",
		"redis-sentinel://secret@h/m":     "want redis://",
		"redis://h\n":                     `ends in '\n'`,
		"redis://h\r\n":                   `ends in '\n'`,
		" redis://h":                      "begins with ' '",
		`"redis://h"`:                     "in quotes",
		"redis-cli --tls -u redis://default:secret@h:1":   "--tls",
		"redis://u:sec ret@h":                             "' ' in its user or password, which must be written as %20",
		"redis://u:secret@h/0 ":                           "ends in ' '",
		"redis://h:1 /0":                                  "' ' in it",
		"redis://u:sec#ret@h":                             "%23",
		"redis://u:sec/ret@h":                             "%2F",
		"redis://u:sec?ret@h":                             "%3F",
		"redis://u:sec@ret@h":                             "%40",
		"redis://u:sec[ret@h":                             "%5B",
		"redis://u:sec\nret@h":                            "%0A",
		"redis://u:secret%@h":                             "%25",
		"redis://u:secret%zz@h":                           "%25",
		"redis://u:secrét@h":                              "%C3%A9",
		"redis://secret@h":                                "user without a password",
		"redis://secret:@h":                               "empty password",
		"redis://:@h":                                     "empty password",
		"redis://user:secret":                             "followed by @",
		"redis://":                                        "no host",
		"redis+cluster://a,,b":                            "no host",
		"redis+cluster://:1":                              "no host",
		"redis://secret?":                                 "",
		"redis://h:0":                                     "port",
		"redis://h:65536":                                 "port",
		"redis://h:":                                      "port",
		"redis://::1:6379":                                "IPv6",
		"redis://[secret]:1":                              "IPv6",
		"redis://[::1:1":                                  "IPv6",
		"redis://-secret:1":                               "IPv6",
		"redis://a:1,b:2":                                 "several hosts",
		"redis://h:1/x-secret":                            "database number",
		"redis://h:1/1/2":                                 "database number",
		"redis://h:1/-1":                                  "database number",
		"redis+cluster://h:1/2":                           "names a database",
		"redis+cluster://h:1/secret":                      "database number",
		"redis+sentinel://secret-host:1":                  "name the master",
		"redis+sentinel://a:1/m/secret":                   "database number",
		"redis://h:1?ssl_cert_reqs=secret":                `"ssl_cert_reqs"`,
		"redis://h:1/0?db=1":                              `"db"`,
		"redis+sentinel://a:1/m?sentinel_password=secret": "GATEWAY_REDIS_SENTINEL_PASSWORD",
		"redis://h:1?secret/secret@":                      "%3F",
		"redis://h?sec,ret":                               "a query",
		"redis://h#secret":                                "#",
		"unix://run/secret.sock":                          "a socket",
		"unix:///":                                        "a socket",
		"unix:///run/redis.sock?db=secret":                "database number",
		"unix:///run/redis.sock?timeout=1":                `"timeout"`,
	} {
		_, err := parseURL(text)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, want one with %q", text, err, want)
		}
	}
}

func TestNew_RefusesWhatItsURLHasNoUseFor(t *testing.T) {
	for want, opts := range map[string]Options{
		"without TLS":      {URL: "redis://h", TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
		"SENTINEL_USER":    {URL: "redis://h", SentinelUser: "u", SentinelPassword: "secret"},
		"not lead to":      {URL: "redis+cluster://h", SentinelPassword: "secret"},
		"without the pass": {URL: "redis+sentinel://h/m", SentinelUser: "u"},
	} {
		if _, err := New(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want one with %q", opts.URL, err, want)
		}
	}
}

func TestPartitionTag_SpreadsOverTheSlots(t *testing.T) {
	for _, parts := range []int{1, 16, 64} {
		for part := range parts {
			if slot := int(crc16(partitionTag(part, parts))) % 16384; slot*parts/16384 != part {
				t.Errorf("partition %d of %d is in slot %d", part, parts, slot)
			}
		}
	}
}

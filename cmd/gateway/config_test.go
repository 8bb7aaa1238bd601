package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the table of configuration into the README")

func TestLoadConfig_Defaults(t *testing.T) {
	c, err := loadConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Addr != "127.0.0.1:8000" || c.MaxEventBytes != 64<<10 || c.Heartbeat != 15*time.Second || c.Auth != "none" ||
		c.HistorySize != 1000 || c.MaxBodyBytes != 8<<20 || c.Topics != nil || c.JWTCookie != "gateway_token" {
		t.Errorf("got %+v", c)
	}
}

func TestLoadConfig_ReadsEveryKind(t *testing.T) {
	c, err := loadConfig([]string{
		"GATEWAY_ADDR=:0", "GATEWAY_AUTH=none", "GATEWAY_QUEUE_BYTES=1MiB", "GATEWAY_HEARTBEAT=1m30s", "GATEWAY_PUBLISH_RATE=0.5",
		"GATEWAY_MAX_TOPICS=7", "GATEWAY_TOPICS= a, b*,,", "GATEWAY_REDIS_URL=redis://user:hunter2@localhost", "GATEWAY_HISTORY_TTL=",
		"GATEWAY_TRUSTED_PROXIES=10.0.0.0/8,loopback", "PATH=/bin",
		"GATEWAY_URL=http://localhost:8000", "GATEWAY_TOKEN=eyJ", "GATEWAY_TOKEN_FILE=/run/token",
		"GATEWAY_PORT=tcp://10.0.0.1:80", "GATEWAY_PORT_80_TCP=tcp://10.0.0.1:80", "GATEWAY_SERVICE_HOST=10.0.0.1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.QueueBytes != 1<<20 || c.Heartbeat != 90*time.Second || c.PublishRate != 0.5 || c.MaxTopics != 7 ||
		!reflect.DeepEqual(c.Topics, []string{"a", "b*"}) || c.HistoryTTL != time.Hour || len(c.proxies) != 3 {
		t.Errorf("got %+v", c)
	}
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), fmt.Sprint(slog.AnyValue(c.RedisURL).Resolve())} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the password shows in %s", text)
		}
	}
}

func TestLoadConfig_NamesEveryFaultAtOnce(t *testing.T) {
	_, err := loadConfig([]string{
		"GATEWAY_HEARTBEAT=15", "GATEWAY_QUEUE_BYTES=1TB", "GATEWAY_MAX_TOPICS=many", "GATEWAY_RETRY=-1s",
		"GATEWAY_HEARTBAET=1s", "GATEWAY_JWT_KEY=too-short-secret", "GATEWAY_AUTH=jwt", "GATEWAY_ENGINE=on",
		"GATEWAY_PARTITIONS=3", "GATEWAY_TLS_CERT=/nowhere", "GATEWAY_CORS_ORIGINS=example.com", "GATEWAY_TOPICS=a*b",
		"GATEWAY_TRUSTED_PROXIES=localhost", "GATEWAY_ADMIN_ADDR=8001", "GATEWAY_DRAIN=soon",
		"GATEWAY_HOSTS=gateway.lan,a:80,http://b,c.*,*d",
		"GATEWAY_REDIS_PREFIX=gw{0}",
	})
	var faults *configError
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		`GATEWAY_HEARTBEAT: "15" is not a duration`,
		`GATEWAY_QUEUE_BYTES: "1TB" is not a size`,
		`GATEWAY_MAX_TOPICS: "many" is not a whole number`,
		`GATEWAY_RETRY: -1s is less than`,
		`GATEWAY_HEARTBAET: there is no such variable; did you mean GATEWAY_HEARTBEAT?`,
		`GATEWAY_JWT_KEY: `,
		`GATEWAY_ENGINE: "on" is not auto or off`,
		`GATEWAY_REDIS_PREFIX: "gw{0}" is not`,
		`GATEWAY_PARTITIONS: 3 is not a power of two`,
		`GATEWAY_TLS_KEY: is missing`,
		`GATEWAY_CORS_ORIGINS: "example.com" is not an origin`,
		`GATEWAY_TOPICS: "a*b" has a * before its end`,
		`GATEWAY_TRUSTED_PROXIES: "localhost" is no address`,
		`GATEWAY_ADMIN_ADDR: "8001" is not an address`,
		`GATEWAY_DRAIN: "soon" is not a duration`,
		`GATEWAY_HOSTS: "a:80" is not a name`, `GATEWAY_HOSTS: "http://b" is not a name`,
		`GATEWAY_HOSTS: "c.*" is not a name`, `GATEWAY_HOSTS: "*d" is not a name`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if len(faults.faults) != 19 {
		t.Errorf("%d faults, want 19:\n%v", len(faults.faults), err)
	}
	if strings.Contains(err.Error(), "too-short-secret") {
		t.Errorf("the key is printed: %v", err)
	}
}

func TestLoadConfig_AuthNoneMustBeSaidOffLoopback(t *testing.T) {
	for name, test := range map[string]struct {
		environ []string
		ok      bool
	}{
		"default":            {nil, true},
		"localhost":          {[]string{"GATEWAY_ADDR=localhost:0"}, true},
		"IPv6 loopback":      {[]string{"GATEWAY_ADDR=[::1]:0"}, true},
		"every interface":    {[]string{"GATEWAY_ADDR=:8000"}, false},
		"one interface":      {[]string{"GATEWAY_ADDR=192.0.2.1:8000"}, false},
		"empty is not said":  {[]string{"GATEWAY_ADDR=:8000", "GATEWAY_AUTH="}, false},
		"said":               {[]string{"GATEWAY_ADDR=:8000", "GATEWAY_AUTH=none"}, true},
		"jwt":                {[]string{"GATEWAY_ADDR=:8000", "GATEWAY_AUTH=jwt", "GATEWAY_JWT_KEY=" + strings.Repeat("k", 32)}, true},
		"jwt without key":    {[]string{"GATEWAY_AUTH=jwt"}, false},
		"key without jwt":    {[]string{"GATEWAY_JWT_KEY=" + strings.Repeat("k", 32)}, false},
		"unknown":            {[]string{"GATEWAY_AUTH=basic"}, false},
		"key and key set":    {[]string{"GATEWAY_AUTH=jwt", "GATEWAY_JWT_KEY=" + strings.Repeat("k", 32), "GATEWAY_JWKS_URL=https://x"}, false},
		"key set is no URL":  {[]string{"GATEWAY_AUTH=jwt", "GATEWAY_JWKS_URL=x"}, false},
		"queue under event":  {[]string{"GATEWAY_QUEUE_BYTES=1KiB"}, false},
		"certificate no key": {[]string{"GATEWAY_TLS_CERT=x"}, false},
	} {
		if _, err := loadConfig(test.environ); (err == nil) != test.ok {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSize_ReadsAndWritesUnits(t *testing.T) {
	for text, want := range map[string]size{"0": 0, "65536": 64 << 10, "64KiB": 64 << 10, "1 MiB": 1 << 20, "3B": 3, "1GiB": 1 << 30} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1.5MiB", "1KB", "1kib", "99999999999", "0x10"} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
	for value, want := range map[size]string{0: "0", 100: "100", 64 << 10: "64KiB", 3 << 20: "3MiB", 1 << 30: "1GiB", 1025: "1025"} {
		if got := value.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestUsage_ListsEveryVariable(t *testing.T) {
	var out strings.Builder
	if err := printUsage(&out); err != nil {
		t.Fatal(err)
	}
	fields := 0
	for field := range reflect.TypeFor[config]().Fields() {
		if !field.IsExported() {
			continue
		}
		fields++
		name := field.Tag.Get("env")
		if name == "" || field.Tag.Get("doc") == "" {
			t.Errorf("%s has no name or no description", field.Name)
		}
		if !strings.Contains(out.String(), "  GATEWAY_"+name+" ") {
			t.Errorf("GATEWAY_%s is not listed", name)
		}
	}
	if got := len(variables()); got != fields {
		t.Errorf("%d variables, want %d", got, fields)
	}
}

// TestREADME_HoldsTheConfiguration compares the table between the README's two marks with the struct; with -update it
// writes it.
func TestREADME_HoldsTheConfiguration(t *testing.T) {
	const begin, end = "<!-- configuration -->\n", "<!-- /configuration -->"
	path := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no table between %s and %s", path, strings.TrimSpace(begin), end)
	}
	want := "\n" + markdownTable() + "\n"
	if table == want {
		return
	}
	if !*update {
		t.Fatal("the README's table of configuration is not that of the struct; write it with: go test ./cmd/gateway -update")
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

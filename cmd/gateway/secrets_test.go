package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A secret that was given in the wrong variable must not come out in the message that says so: it ends up in the logs.
func TestLoadConfig_ShowsNoSecretInAnyVariable(t *testing.T) {
	_, keyFile := certificateFiles(t)
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	key := string(text)
	lines := strings.Split(key, "\n")
	for kind, value := range map[string]string{
		"PEM":             key,
		"PEM in one line": strings.ReplaceAll(key, "\n", `\n`),
		"base64":          base64.StdEncoding.EncodeToString(text),
		"DER in base64":   strings.Join(lines[1:len(lines)-2], ""),
		"secret":          "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==",
		"hex":             "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"token":           "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYWNrIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ",
		"Redis":           "redis://default:hunter2hunter2@redis:6379",
		"database":        "postgres://jack:hunter2hunter2@db/x?password=hunter2hunter2",
		"user, password":  "jack:hunter2hunter2@redis",
		"in a list":       "example,c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA==,*x*",
		"in an address":   "c2VjcmV0LXNlY3JldC1zZWNyZXQ5LXNlY3JldA==:99999",
		"in an origin":    "https://c2VjcmV0LXNlY3JldC1zZWNyZXQ5LXNlY3JldA==/",
	} {
		for _, v := range variables() {
			for _, environ := range [][]string{{v.name + "=" + value}, {"GATEWAY_AUTH=jwt", v.name + "=" + value}, {"GATEWAY_TLS_CERT=x", "GATEWAY_TLS_KEY=y", v.name + "=" + value}} {
				_, err := loadConfig(environ)
				if err == nil {
					continue
				}
				for at := 0; at+12 <= len(value); at += 4 {
					part := value[at : at+12]
					if strings.Contains(err.Error(), part) && !harmless(part) {
						t.Errorf("%s in %s: the message shows it: %v", kind, v.name, err)
						break
					}
				}
			}
		}
	}
}

// harmless tells the parts of the values above that nobody has to hide.
func harmless(part string) bool {
	return strings.Contains("-----BEGIN PRIVATE KEY-----END redis://default: postgres://jack: https://", part)
}

func TestLoadConfig_ShowsWhatIsNoSecret(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "cert.pem")
	for _, test := range []struct{ setting, want string }{
		{"GATEWAY_AUTH=basic", `"basic"`},
		{"GATEWAY_HEARTBEAT=fifteen seconds", `"fifteen seconds"`},
		{"GATEWAY_CORS_ORIGINS=https://app.example.com/path", `"https://app.example.com/path"`},
		{"GATEWAY_TRUSTED_PROXIES=10.0.0.0/8,balancer.internal", `"balancer.internal"`},
		{"GATEWAY_TOPICS=chat.*.room", `"chat.*.room"`},
		{"GATEWAY_ADDR=gateway-7f8c9d5b6-x2x4z.default.svc", `"gateway-7f8c9d5b6-x2x4z.default.svc"`},
		{"GATEWAY_TLS_CERT=" + missing, "GATEWAY_TLS_CERT: the file it names cannot be read: no such file or directory"},
	} {
		_, err := loadConfig([]string{"GATEWAY_TLS_KEY=" + missing, test.setting})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one that shows %s", test.setting, err, test.want)
		}
	}
}

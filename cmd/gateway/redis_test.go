package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadConfig_ChecksHowRedisIsReached(t *testing.T) {
	certFile, keyFile := certificateFiles(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want     string // empty: no fault
		settings []string
	}{
		{"", []string{"URL=rediss://h", "CA=" + certFile, "CERT=" + certFile, "KEY=" + keyFile}},
		{"", []string{"URL=redis+sentinel://h/m", "SENTINEL_PASSWORD=hunter2", "SENTINEL_USER=u"}},
		{"REDIS_CA: the file it names cannot be read", []string{"URL=rediss://h", "CA=/nowhere"}},
		{"REDIS_CA: the file it names holds no certificate", []string{"URL=rediss://h", "CA=" + empty}},
		{"REDIS_KEY: is missing", []string{"URL=rediss://h", "CERT=" + certFile}},
		{"REDIS_CERT: is missing", []string{"URL=rediss://h", "KEY=" + keyFile}},
		{"REDIS_CERT: cannot be used with GATEWAY_REDIS_KEY", []string{"URL=rediss://h", "CERT=" + certFile, "KEY=" + empty}},
		{"REDIS_URL: is without TLS", []string{"URL=redis://h", "CA=" + certFile}},
		{"REDIS_URL: does not lead to Sentinel", []string{"URL=redis://h", "SENTINEL_PASSWORD=hunter2"}},
		{"REDIS_URL: is missing", []string{"CA=" + certFile}},
		{"REDIS_URL: is missing", []string{"SENTINEL_PASSWORD=hunter2"}},
		{"REDIS_URL: ends in '\\n'", []string{"URL=redis://:hunter2@h\n"}},
	} {
		var environ []string
		for _, setting := range test.settings {
			environ = append(environ, "GATEWAY_REDIS_"+setting)
		}
		_, err := loadConfig(environ)
		switch {
		case test.want == "" && err == nil:
		case err == nil || test.want == "" || !strings.Contains(err.Error(), "GATEWAY_"+test.want) || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%v: got %v, want %q", test.settings, err, test.want)
		}
	}
}

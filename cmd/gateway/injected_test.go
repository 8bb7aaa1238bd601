package main

import (
	"strings"
	"testing"
)

// Kubernetes puts the address of every Service of a namespace into the environment of its pods, under the Service's name.
// A release called gateway has several whose names begin like the gateway's own variables.
func TestLoadConfig_PassesOverWhatKubernetesInjects(t *testing.T) {
	var environ []string
	for _, service := range []string{"GATEWAY", "GATEWAY_REDIS", "GATEWAY_REDIS_MASTER", "GATEWAY_HAPROXY", "GATEWAY_ADDR", "GATEWAY_2"} {
		environ = append(environ,
			service+"_SERVICE_HOST=10.96.0.11", service+"_SERVICE_PORT=6379", service+"_SERVICE_PORT_REDIS=6379", service+"_SERVICE_PORT_TCP_METRICS=9090",
			service+"_PORT=tcp://10.96.0.11:6379", service+"_PORT_6379_TCP=tcp://10.96.0.11:6379", service+"_PORT_6379_TCP_PROTO=tcp",
			service+"_PORT_6379_TCP_PORT=6379", service+"_PORT_6379_TCP_ADDR=10.96.0.11",
			service+"_PORT_53_UDP=udp://[fd00::11]:53", service+"_PORT_53_UDP_ADDR=fd00::11", service+"_PORT_7_SCTP_PROTO=sctp",
		)
	}
	if _, err := loadConfig(environ); err != nil {
		t.Error(err)
	}
}

func TestLoadConfig_TellsNamesThatOnlyLookInjected(t *testing.T) {
	for setting, want := range map[string]string{
		"GATEWAY_PORT=80":                      "GATEWAY_PORT: there is no such variable; the address to listen on is GATEWAY_ADDR, for example GATEWAY_ADDR=:80",
		"GATEWAY_PORT=:80":                     "GATEWAY_ADDR",
		"GATEWAY_HOST=0.0.0.0":                 "GATEWAY_ADDR",
		"GATEWAY_LISTEN=:8000":                 "GATEWAY_ADDR",
		"GATEWAY_REDIS_PORT=6379":              "GATEWAY_REDIS_PORT: there is no such variable",
		"GATEWAY_REDIS_SERVICE_HOST=redis":     "GATEWAY_REDIS_SERVICE_HOST: there is no such variable",
		"GATEWAY_REDIS_SERVICE_PORT=x":         "there is no such variable",
		"GATEWAY_SERVICE_NAME=gateway":         "there is no such variable",
		"GATEWAY_PORT_OFFSET=1":                "there is no such variable",
		"GATEWAY_REDIS_PORT_TCP=tcp://1.2.3.4": "there is no such variable",
		"GATEWAY_REDIS_ULR=redis://x":          "did you mean GATEWAY_REDIS_URL?",
	} {
		if _, err := loadConfig([]string{setting}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one that says %s", setting, err, want)
		}
	}
}

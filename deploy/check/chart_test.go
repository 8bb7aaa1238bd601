package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

const chartDir = "../helm/sse-gateway"

// minimal is the least that the chart wants to be told.
const minimal = `
redis: {existingSecret: redis}
auth: {existingSecret: jwt}
`

// everything turns on all that is optional.
const everything = `
fullnameOverride: events
image: {repository: registry.example/sse-gateway, digest: "sha256:` + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + `"}
imagePullSecrets: [{name: registry}]
redis: {url: "rediss+cluster://:secret@redis-0.redis:6379,redis-1.redis:6379"}
auth: {jwksURL: "https://login.example:8443/keys"}
config: {TRUSTED_PROXIES: "10.0.0.0/8", HISTORY_SIZE: "5000", JWT_ISSUER: "https://login.example"}
extraEnv: [{name: GATEWAY_TLS_CERT, value: /tls/tls.crt}, {name: GATEWAY_TLS_KEY, value: /tls/tls.key}]
extraVolumes: [{name: tls, secret: {secretName: tls}}]
extraVolumeMounts: [{name: tls, mountPath: /tls, readOnly: true}]
stop: {preStopSeconds: 10, drainSeconds: 120}
resources: {requests: {cpu: "2", memory: 1Gi}, limits: {memory: 2Gi}}
autoscaling: {enabled: true, minReplicas: 2, maxReplicas: 50, streamsPerReplica: 50000}
podDisruptionBudget: {maxUnavailable: 25%}
service: {type: LoadBalancer, port: 443, annotations: {example.com/a: b}}
ingress:
  enabled: true
  hosts: [a.example, b.example]
  tls: [{secretName: tls, hosts: [a.example, b.example]}]
  annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "600", example.com/a: b}
httpRoute:
  enabled: true
  parentRefs: [{name: public, namespace: gateways}]
  hostnames: [a.example]
  annotations: {example.com/a: b}
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}]
  redisTo: [{podSelector: {matchLabels: {app: redis}}}]
  redisPorts: [6379, 26379]
  extraEgress: [{ports: [{port: 4317}]}]
serviceMonitor: {enabled: true, labels: {release: prometheus}}
prometheusRule: {enabled: true, labels: {release: prometheus}}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]
nodeSelector: {pool: edge}
tolerations: [{key: edge, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: high
podAnnotations: {example.com/a: b}
podLabels: {team: events}
`

// secrets keeps the chart's own Secret, and other controllers than the default.
const secrets = `
redis: {url: "redis://:secret@redis:6379"}
auth: {jwtKey: "correct-horse-battery-staple-0123"}
ingress: {enabled: true, hosts: [a.example], className: alb, controller: alb}
networkPolicy: {adminFrom: []}
`

const open = `
redis: {existingSecret: redis, existingSecretKey: uri}
auth: {mode: none}
config: {TRUSTED_PROXIES: ""}
ingress: {enabled: true, hosts: [a.example], className: "", controller: none}
podDisruptionBudget: {enabled: false}
networkPolicy: {enabled: false}
resources: {}
`

const haproxy = minimal + `
ingress: {enabled: true, hosts: [a.example], className: haproxy, controller: haproxy}
`

func valueSets() map[string]string {
	return map[string]string{
		"minimal": minimal, "everything": everything, "secrets": secrets, "open": open, "haproxy": haproxy,
	}
}

func parseValues(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// render is what `helm template RELEASE deploy/helm/sse-gateway --namespace NAMESPACE` prints: the objects by the template
// that they come from.
func render(t *testing.T, release, namespace, values string) (map[string]string, error) {
	t.Helper()
	chart, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	merged, err := util.ToRenderValues(chart, parseValues(t, values), options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(t.Context(), chart, merged)
}

// manifests is render as one document.
func manifests(t *testing.T, release, namespace, values string) string {
	t.Helper()
	files, err := render(t, release, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if content := strings.TrimSpace(files[name]); strings.HasSuffix(name, ".yaml") && content != "" {
			fmt.Fprintf(&all, "---\n%s\n", strings.TrimPrefix(content, "---\n"))
		}
	}
	return all.String()
}

func TestChart_PassesLint(t *testing.T) {
	for name, values := range valueSets() {
		result := lint.RunAll(chartDir, parseValues(t, values), "events")
		for _, message := range result.Messages {
			t.Errorf("%s: %s", name, message)
		}
	}
}

func TestChart_RefusesWhatCannotWork(t *testing.T) {
	for _, test := range []struct{ name, values, want string }{
		{"no Redis", `auth: {existingSecret: jwt}`, "set redis.url, or redis.existingSecret"},
		{"Redis twice", `{redis: {url: "redis://a", existingSecret: b}, auth: {existingSecret: jwt}}`, "not both"},
		{"no key", `redis: {existingSecret: redis}`, "set one of auth.jwtKey, auth.existingSecret and auth.jwksURL"},
		{"two keys", `{redis: {existingSecret: redis}, auth: {existingSecret: jwt, jwksURL: "https://a"}}`, "set one of"},
		{"a key for nothing", `{redis: {existingSecret: redis}, auth: {mode: none, existingSecret: jwt}}`, "mode none uses no key"},
		{"a short key", `{redis: {existingSecret: redis}, auth: {jwtKey: short}}`, "jwtKey"},
		{"a misspelled value", minimal + `replica: 3`, "replica"},
		{"a misspelled nested value", minimal + `stop: {drainSecond: 3}`, "drainSecond"},
		{"a setting that the chart makes", minimal + `config: {DRAIN: 1m}`, "DRAIN"},
		{"a setting with its prefix in lower case", minimal + `config: {gateway_heartbeat: 1m}`, "gateway_heartbeat"},
		{"a number as text", minimal + `config: {HISTORY_SIZE: 1000}`, "HISTORY_SIZE"},
		{"an ingress without a host", minimal + `ingress: {enabled: true}`, "set ingress.hosts"},
		{"an unknown controller", minimal + `ingress: {controller: apache}`, "controller"},
		{"a route of no Gateway", minimal + `httpRoute: {enabled: true}`, "set httpRoute.parentRefs"},
		{"replicas below none", minimal + `replicas: -1`, "replicas"},
		{"bounds the wrong way round", minimal + `autoscaling: {enabled: true, minReplicas: 9, maxReplicas: 3}`, "minReplicas is larger"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := render(t, "web", "events", test.values)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that says %q", err, test.want)
			}
		})
	}
}

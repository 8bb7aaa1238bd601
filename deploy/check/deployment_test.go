package check

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gateways "sigs.k8s.io/gateway-api/apis/v1"
)

// afterDrain is what a replica may take to end, once its drain is over: main's writeTime and shutdownTime.
const afterDrain = 10 * time.Second

func TestChart_RendersWhatKubernetesTakes(t *testing.T) {
	for name, values := range valueSets() {
		t.Run(name, func(t *testing.T) {
			objects := decode(t, manifests(t, "web", "events", values))
			for _, fault := range faults(objects) {
				t.Error(fault)
			}
			deployment := one[*apps.Deployment](t, objects)
			confined(t, deployment.Spec.Template.Spec)
			stopsInTime(t, deployment)
			if len(deployment.Spec.Template.Spec.TopologySpreadConstraints) == 0 {
				t.Error("all replicas may be on one node")
			}
			for _, name := range settings(deployment.Spec.Template.Spec) {
				if !strings.Contains(readme(t), "| `"+name+"` |") {
					t.Errorf("%s is set, which the gateway does not know", name)
				}
			}
		})
	}
}

// A fault that is put into good objects is found: the check itself works.
func TestFaults_AreFound(t *testing.T) {
	good := manifests(t, "web", "events", everything)
	for _, test := range []struct{ name, old, new, want string }{
		{"a probe without its port", "name: admin\n              containerPort", "name: other\n              containerPort", "a probe asks port admin"},
		{"a name in capitals", "name: events\n", "name: Events\n", "a DNS-1035 label"},
		{"a name that becomes a setting", "name: events-admin\n", "name: gateway-admin\n", "makes variables GATEWAY_"},
		{"a budget for others", "unhealthyPodEvictionPolicy: AlwaysAllow\n  selector:\n    matchLabels:\n", "$0      app: other\n", "selects no pods"},
		{"a monitor of nothing", "jobLabel: app.kubernetes.io/component", "jobLabel: app.kubernetes.io/name", "selects no Service"},
		{"a route to another port", "port: 443\n    - matches", "port: 444\n    - matches", "lacks the port"},
		{"replicas set by two", "spec:\n  # One replica", "spec:\n  replicas: 3\n  # One replica", "sets its replicas itself: true"},
		{"one object twice", "kind: Deployment\n", "kind: Deployment\n", ""},
	} {
		changed := strings.ReplaceAll(good, test.old, strings.ReplaceAll(test.new, "$0", test.old))
		if test.want == "" {
			changed, test.want = good+good, "is there twice"
		}
		if changed == good {
			t.Errorf("%s: %q is not in the manifests", test.name, test.old)
		}
		if found := strings.Join(faults(decode(t, changed)), "\n"); !strings.Contains(found, test.want) {
			t.Errorf("%s: %q, want a fault that says %q", test.name, found, test.want)
		}
	}
}

// What is misspelled, or of the wrong type, is not taken.
func TestDecode_IsStrict(t *testing.T) {
	for _, text := range []string{
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 3}\n",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: three}\n",
		"apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 1, replicas: 2}\n",
		"apiVersion: apps/v1beta1\nkind: Deployment\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec: {host: a}\n",
		"apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nspec: {endpoint: []}\n",
	} {
		if objects, err := decodeAll(text); err == nil {
			t.Errorf("taken: %s as %+v", text, objects)
		}
	}
}

func confined(t *testing.T, pod core.PodSpec) {
	t.Helper()
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("the pod has a service account's token")
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Error("the pod gets variables of Services")
	}
	if pod.SecurityContext == nil || pod.SecurityContext.RunAsNonRoot == nil || !*pod.SecurityContext.RunAsNonRoot ||
		pod.SecurityContext.SeccompProfile == nil || pod.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod may run as root, or make any system call: %+v", pod.SecurityContext)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("container %s is not confined: %+v", c.Name, s)
		}
	}
}

func stopsInTime(t *testing.T, d *apps.Deployment) {
	t.Helper()
	if rolling := d.Spec.Strategy.RollingUpdate; rolling == nil || rolling.MaxUnavailable == nil || rolling.MaxUnavailable.IntValue() != 0 {
		t.Errorf("an update takes replicas away before there are new ones: %+v", d.Spec.Strategy)
	}
	pod := d.Spec.Template.Spec
	c := pod.Containers[0]
	if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
		t.Fatal("a replica that is to go stops before the balancers know")
	}
	drain, err := time.ParseDuration(variable(pod, "GATEWAY_DRAIN"))
	if err != nil {
		t.Fatal(err)
	}
	needs := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second + drain + afterDrain
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	if grace <= needs {
		t.Errorf("killed %v after it is told to stop, and needs up to %v", grace, needs)
	}
	if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("live by %s, ready by %s", c.LivenessProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path)
	}
}

// settings are the names of the gateway's own variables.
func settings(pod core.PodSpec) []string {
	var names []string
	for _, v := range pod.Containers[0].Env {
		if strings.HasPrefix(v.Name, "GATEWAY_") {
			names = append(names, v.Name)
		}
	}
	return names
}

func variable(pod core.PodSpec, name string) string {
	for _, v := range pod.Containers[0].Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMain_TakesNoLongerToEndThanTheChartThinks(t *testing.T) {
	var sum time.Duration
	for file, pattern := range map[string]string{
		"../../cmd/gateway/serve.go":  `writeTime = (\d+) \* time\.Second`,
		"../../cmd/gateway/server.go": `shutdownTime = (\d+) \* time\.Second`,
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(pattern).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no %s", file, pattern)
		}
		seconds, err := time.ParseDuration(string(found[1]) + "s")
		if err != nil {
			t.Fatal(err)
		}
		sum += seconds
	}
	if sum != afterDrain {
		t.Errorf("a replica may take %v after its drain, want %v", sum, afterDrain)
	}
}

func TestChart_KeepsStreamsOpen(t *testing.T) {
	objects := decode(t, manifests(t, "web", "events", everything))
	ingress := one[*networking.Ingress](t, objects)
	for name, want := range map[string]string{
		"nginx.ingress.kubernetes.io/proxy-buffering":         "off",
		"nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
		"nginx.ingress.kubernetes.io/proxy-send-timeout":      "3600",
		"nginx.ingress.kubernetes.io/proxy-read-timeout":      "600", // the user's own
	} {
		if got := ingress.Annotations[name]; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	limits := map[string]string{}
	for _, rule := range one[*gateways.HTTPRoute](t, objects).Spec.Rules {
		for _, match := range rule.Matches {
			if rule.Timeouts != nil {
				limits[*match.Path.Value] = string(*rule.Timeouts.Request) + " " + string(*rule.Timeouts.BackendRequest)
			}
		}
	}
	for _, path := range []string{"/subscribe", "/publish"} {
		if limits[path] != "0s 0s" {
			t.Errorf("%s may last %q, want 0s 0s, which is no limit", path, limits[path])
		}
	}
}

func TestChart_LimitsMemoryBeforeTheKernelDoes(t *testing.T) {
	for limit, want := range map[string]string{"512Mi": "460MiB", "2Gi": "1843MiB", "1G": ""} {
		values := minimal + "resources: {limits: {memory: " + limit + "}}"
		pod := one[*apps.Deployment](t, decode(t, manifests(t, "web", "events", values))).Spec.Template.Spec
		if got := variable(pod, "GOMEMLIMIT"); got != want {
			t.Errorf("limit %s: GOMEMLIMIT %q, want %q", limit, got, want)
		}
	}
}

// Where nobody is asked who they are, the gateway answers to no name that it is not told.
func TestChart_TellsTheNamesThatItIsCalledBy(t *testing.T) {
	const inside = "sse-gateway-web,sse-gateway-web.events,sse-gateway-web.events.svc,sse-gateway-web.events.svc.cluster.local"
	for _, test := range []struct{ name, values, want string }{
		{"outside too", open, inside + ",a.example"},
		{"set by hand", strings.Replace(open, `TRUSTED_PROXIES: ""`, `HOSTS: "*"`, 1), "*"},
		{"with tokens", minimal, ""},
	} {
		pod := one[*apps.Deployment](t, decode(t, manifests(t, "web", "events", test.values))).Spec.Template.Spec
		if got := variable(pod, "GATEWAY_HOSTS"); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Secrets reach the pod by reference only.
func TestChart_ShowsNoSecret(t *testing.T) {
	for _, values := range []string{everything, secrets} {
		var rest []runtime.Object
		text := manifests(t, "web", "events", values)
		for document := range strings.SplitSeq(text, "---\n") {
			if strings.Contains(document, "kind: Secret\n") {
				rest = append(rest, decode(t, document)...)
			} else if strings.Contains(document, ":secret@") || strings.Contains(document, "correct-horse") {
				t.Errorf("a secret in\n%s", document)
			}
		}
		if len(rest) != 1 {
			t.Errorf("%d Secrets, want 1", len(rest))
		}
	}
}

func TestChart_NamesNothingThatKubernetesTurnsIntoSettings(t *testing.T) {
	for release, want := range map[string]string{
		"gateway": "sse-gateway-gateway", "sse-gateway": "sse-gateway", "prod-sse-gateway": "prod-sse-gateway",
		strings.Repeat("x", 53): "sse-gateway-" + strings.Repeat("x", 40),
	} {
		objects := decode(t, manifests(t, release, "events", minimal))
		if got := one[*apps.Deployment](t, objects).Name; got != want {
			t.Errorf("release %s makes %s, want %s", release, got, want)
		}
		for _, fault := range faults(objects) {
			t.Errorf("release %s: %s", release, fault)
		}
	}
}

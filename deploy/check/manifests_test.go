package check

import (
	"flag"
	"os"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
)

var update = flag.Bool("update", false, "write deploy/kubernetes/gateway.yaml anew")

const manifestsFile = "../kubernetes/gateway.yaml"

const manifestsHead = `# The gateway for Kubernetes without Helm, as the chart makes it: make manifests. Not to be edited. It needs two Secrets:
#
#   kubectl create namespace sse-gateway
#   kubectl -n sse-gateway create secret generic redis --from-literal=url=redis://redis:6379
#   kubectl -n sse-gateway create secret generic jwt --from-literal=key=$(openssl rand -hex 32)
#   kubectl -n sse-gateway apply -f deploy/kubernetes/gateway.yaml
#
# redis.yaml beside this file is a Redis to try it with. The image is made by make image.
`

func TestManifests_AreWhatTheChartMakes(t *testing.T) {
	want := manifestsHead + manifests(t, "sse-gateway", "sse-gateway", minimal+"image: {tag: latest}")
	if *update {
		if err := os.WriteFile(manifestsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manifestsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the chart makes: run make manifests, and look at the difference", manifestsFile)
	}
}

func TestManifests_AreWhatKubernetesTakes(t *testing.T) {
	var all strings.Builder
	for _, file := range []string{manifestsFile, "../kubernetes/redis.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + string(text))
	}
	objects := decode(t, all.String())
	for _, fault := range faults(objects) {
		t.Error(fault)
	}
	confined(t, one[*apps.StatefulSet](t, objects).Spec.Template.Spec)
}

package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
	gateways "sigs.k8s.io/gateway-api/apis/v1"
)

func decode(t *testing.T, text string) []runtime.Object {
	t.Helper()
	objects, err := decodeAll(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// decodeAll reads objects as an API server does that forbids unknown and repeated fields.
func decodeAll(text string) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, autoscaling.AddToScheme, networking.AddToScheme, policy.AddToScheme,
		gateways.Install, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	reader := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	var objects []runtime.Object
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if blank(string(document)) {
			continue
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("%w:\n%s", err, document)
		}
		objects = append(objects, object)
	}
}

func blank(document string) bool {
	for line := range strings.Lines(document) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// of are the objects of one type, by name.
func of[T runtime.Object](objects []runtime.Object) []T {
	var found []T
	for _, object := range objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// one is the only object of its type.
func one[T runtime.Object](t *testing.T, objects []runtime.Object) T {
	t.Helper()
	found := of[T](objects)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T, want 1", len(found), *new(T))
	}
	return found[0]
}

// faults is what is wrong in the objects' relations to each other, and in names and labels, which their types do not say.
func faults(objects []runtime.Object) []string {
	var found []string
	fault := func(object meta.Object, format string, args ...any) {
		found = append(found, fmt.Sprintf("%T %s: %s", object, object.GetName(), fmt.Sprintf(format, args...)))
	}
	checkNames(objects, fault)
	checkPods(objects, fault)
	checkSelectors(objects, fault)
	checkRoutes(objects, fault)
	return found
}

// A faultFunc takes what is wrong with an object.
type faultFunc func(object meta.Object, format string, args ...any)

func checkNames(objects []runtime.Object, fault faultFunc) {
	seen := map[string]bool{}
	for _, object := range objects {
		o, ok := object.(meta.Object)
		if !ok {
			continue
		}
		if key := fmt.Sprintf("%T/%s", o, o.GetName()); seen[key] {
			fault(o, "is there twice")
		} else {
			seen[key] = true
		}
		for _, wrong := range validation.IsDNS1035Label(o.GetName()) {
			fault(o, "name: %s", wrong)
		}
		for key, value := range o.GetLabels() {
			for _, wrong := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
				fault(o, "label %s=%q: %s", key, value, wrong)
			}
		}
		for key := range o.GetAnnotations() {
			for _, wrong := range validation.IsQualifiedName(strings.ToLower(key)) {
				fault(o, "annotation %s: %s", key, wrong)
			}
		}
	}
}

func checkPods(objects []runtime.Object, fault faultFunc) {
	for _, p := range podSets(objects) {
		if !matches(p.selector, p.template.Labels) {
			fault(p.owner, "its selector does not select its pods")
		}
		for _, port := range probes(p.template.Spec) {
			if !p.hasPort(port) {
				fault(p.owner, "a probe asks port %s, which no container has", port.String())
			}
		}
	}
	for _, h := range of[*autoscaling.HorizontalPodAutoscaler](objects) {
		for _, d := range of[*apps.Deployment](objects) {
			if h.Spec.ScaleTargetRef.Name != d.Name || d.Spec.Replicas != nil {
				fault(h, "scales %s, and the Deployment %s sets its replicas itself: %v", h.Spec.ScaleTargetRef.Name, d.Name, d.Spec.Replicas != nil)
			}
		}
	}
}

func checkSelectors(objects []runtime.Object, fault faultFunc) {
	pods := podSets(objects)
	for _, b := range of[*policy.PodDisruptionBudget](objects) {
		if pods.selected(b.Spec.Selector) == nil {
			fault(b, "selects no pods")
		}
	}
	for _, n := range of[*networking.NetworkPolicy](objects) {
		selected := pods.selected(&n.Spec.PodSelector)
		if selected == nil {
			fault(n, "selects no pods")
			continue
		}
		for _, rule := range n.Spec.Ingress {
			for _, port := range rule.Ports {
				if !selected.hasPort(*port.Port) {
					fault(n, "admits to port %s, which no container has", port.Port.String())
				}
			}
		}
	}
	for _, s := range of[*core.Service](objects) {
		selected := pods.selected(&meta.LabelSelector{MatchLabels: s.Spec.Selector})
		if selected == nil {
			fault(s, "selects no pods")
			continue
		}
		for _, port := range s.Spec.Ports {
			if !selected.hasPort(port.TargetPort) {
				fault(s, "leads to port %s, which no container has", port.TargetPort.String())
			}
		}
		if strings.HasPrefix(s.Name, "gateway") {
			fault(s, "its name makes variables GATEWAY_… in other pods")
		}
	}
}

func checkRoutes(objects []runtime.Object, fault faultFunc) {
	for _, i := range of[*networking.Ingress](objects) {
		for _, rule := range i.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				if !hasService(objects, path.Backend.Service.Name, path.Backend.Service.Port) {
					fault(i, "leads to the Service %s, which is not there or lacks the port", path.Backend.Service.Name)
				}
			}
		}
	}
	for _, r := range of[*gateways.HTTPRoute](objects) {
		for _, rule := range r.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				if !hasService(objects, string(backend.Name), networking.ServiceBackendPort{Number: *backend.Port}) {
					fault(r, "leads to the Service %s, which is not there or lacks the port", backend.Name)
				}
			}
		}
	}
	for _, m := range of[*monitoring.ServiceMonitor](objects) {
		if !slices.ContainsFunc(of[*core.Service](objects), func(s *core.Service) bool {
			return matches(&m.Spec.Selector, s.Labels) && s.Labels[m.Spec.JobLabel] == "gateway" &&
				slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == m.Spec.Endpoints[0].Port })
		}) {
			fault(m, "selects no Service that has its port and makes it job gateway")
		}
	}
}

func matches(selector *meta.LabelSelector, set map[string]string) bool {
	s, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && !s.Empty() && s.Matches(labels.Set(set))
}

func probes(pod core.PodSpec) []intstr.IntOrString {
	var ports []intstr.IntOrString
	for _, c := range pod.Containers {
		for _, probe := range []*core.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe != nil && probe.HTTPGet != nil {
				ports = append(ports, probe.HTTPGet.Port)
			}
			if probe != nil && probe.TCPSocket != nil {
				ports = append(ports, probe.TCPSocket.Port)
			}
		}
	}
	return ports
}

// A podSet is what a Deployment or a StatefulSet makes.
type podSet struct {
	owner    meta.Object
	selector *meta.LabelSelector
	template core.PodTemplateSpec
}

type podSetList []*podSet

func podSets(objects []runtime.Object) podSetList {
	var sets podSetList
	for _, d := range of[*apps.Deployment](objects) {
		sets = append(sets, &podSet{d, d.Spec.Selector, d.Spec.Template})
	}
	for _, s := range of[*apps.StatefulSet](objects) {
		sets = append(sets, &podSet{s, s.Spec.Selector, s.Spec.Template})
	}
	return sets
}

// selected are the pods that a selector selects, or nil.
func (l podSetList) selected(selector *meta.LabelSelector) *podSet {
	for _, set := range l {
		if matches(selector, set.template.Labels) {
			return set
		}
	}
	return nil
}

func (p *podSet) hasPort(port intstr.IntOrString) bool {
	for _, c := range p.template.Spec.Containers {
		for _, has := range c.Ports {
			if port.StrVal == has.Name && has.Name != "" || port.Type == intstr.Int && port.IntVal == has.ContainerPort {
				return true
			}
		}
	}
	return false
}

func hasService(objects []runtime.Object, name string, port networking.ServiceBackendPort) bool {
	return slices.ContainsFunc(of[*core.Service](objects), func(s *core.Service) bool {
		return s.Name == name && slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool {
			return port.Name != "" && p.Name == port.Name || port.Number != 0 && p.Port == port.Number
		})
	})
}

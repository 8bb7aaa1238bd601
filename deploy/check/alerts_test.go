package check

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

const alertsFile = "../alerts.yml"

// alertTests is alerts_test.yml, which promtool runs as well: the part of its format that is in use.
type alertTests struct {
	RuleFiles []string       `yaml:"rule_files"`
	Interval  model.Duration `yaml:"evaluation_interval"`
	Tests     []alertTest    `yaml:"tests"`
}

type alertTest struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval"`
	Series   []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	Alerts []struct {
		Time  model.Duration `yaml:"eval_time"`
		Alert string         `yaml:"alertname"`
		Want  []firing       `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// A firing is an alert that fires.
type firing struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

func (f firing) String() string {
	return labels.FromMap(f.Labels).String() + " " + labels.FromMap(f.Annotations).String()
}

func TestAlerts_AreWellFormed(t *testing.T) {
	groups := ruleGroups(t)
	seen := map[string]bool{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if seen[rule.Alert] {
				t.Errorf("%s is there twice", rule.Alert)
			}
			seen[rule.Alert] = true
			if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" {
				t.Errorf("%s: severity %q, want critical or warning", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: no summary or description", rule.Alert)
			}
		}
	}
}

func ruleGroups(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.ParseFile(alertsFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return groups
}

func TestAlerts_FireWhenTheyShould(t *testing.T) {
	content, err := os.ReadFile("../alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	var tests alertTests
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&tests); err != nil {
		t.Fatal(err)
	}
	fired, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		t.Run(test.Name, func(t *testing.T) { test.run(t, time.Duration(tests.Interval)) })
		for _, alert := range test.Alerts {
			fired[alert.Alert] = fired[alert.Alert] || len(alert.Want) > 0
			quiet[alert.Alert] = quiet[alert.Alert] || len(alert.Want) == 0
		}
	}
	for _, group := range ruleGroups(t).Groups {
		for _, rule := range group.Rules {
			if !fired[rule.Alert] || !quiet[rule.Alert] {
				t.Errorf("no test shows that %s fires, and that it does not: %v, %v", rule.Alert, fired[rule.Alert], quiet[rule.Alert])
			}
		}
	}
}

// run evaluates the rules over the series as a server does, and compares what fires.
func (a alertTest) run(t *testing.T, interval time.Duration) {
	load := "load " + a.Interval.String() + "\n"
	for _, series := range a.Series {
		load += series.Series + " " + series.Values + "\n"
	}
	suite, err := promqltest.NewLazyLoader(load, promqltest.LazyLoaderOpts{EnableAtModifier: true, EnableNegativeOffset: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := suite.Close(); err != nil {
			t.Error(err)
		}
	})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc:    rules.EngineQueryFunc(suite.QueryEngine(), suite.Storage()),
		AppendableV2: suite.Storage(),
		Context:      t.Context(),
		NotifyFunc:   func(context.Context, string, ...*rules.Alert) {},
		Logger:       promslog.NewNopLogger(),
		Parser:       parser.NewParser(parser.Options{}),
	})
	groups, errs := manager.LoadGroups(time.Duration(a.Interval), labels.EmptyLabels(), "", nil, false, alertsFile)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var last time.Duration
	for _, alert := range a.Alerts {
		last = max(last, time.Duration(alert.Time))
	}
	start := time.Unix(0, 0)
	for at := time.Duration(0); at <= last; at += interval {
		suite.WithSamplesTill(start.Add(at), func(err error) {
			if err != nil {
				t.Fatal(err)
			}
			for _, group := range groups {
				group.Eval(suite.Context(), start.Add(at))
				for _, rule := range group.Rules() {
					if err := rule.LastError(); err != nil {
						t.Fatalf("%s at %v: %v", rule.Name(), at, err)
					}
				}
			}
		})
		for _, alert := range a.Alerts {
			if time.Duration(alert.Time) != at {
				continue
			}
			for n := range alert.Want {
				alert.Want[n].Labels["alertname"] = alert.Alert
			}
			if got, want := firingOf(groups, alert.Alert), sorted(alert.Want); got != want {
				t.Errorf("%s at %v:\ngot  %s\nwant %s", alert.Alert, at, got, want)
			}
		}
	}
}

// firingOf is what fires of an alert.
func firingOf(groups map[string]*rules.Group, name string) string {
	var found []firing
	for _, group := range groups {
		for _, rule := range group.AlertingRules() {
			for _, alert := range rule.ActiveAlerts() {
				if rule.Name() == name && alert.State == rules.StateFiring {
					found = append(found, firing{alert.Labels.Map(), alert.Annotations.Map()})
				}
			}
		}
	}
	return sorted(found)
}

func sorted(alerts []firing) string {
	lines := make([]string, len(alerts))
	for n, alert := range alerts {
		lines[n] = fmt.Sprint(alert)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n     ")
}

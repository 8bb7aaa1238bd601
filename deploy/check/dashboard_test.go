package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/teststorage"
)

// A dashboard is what Grafana reads of the file, as far as ours go: a field that is not here is refused, so that a
// misspelled one is seen. Options and fieldConfig belong to the panel's type, which judges them itself.
type dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	SchemaVersion int      `json:"schemaVersion"`
	Version       int      `json:"version"`
	Editable      bool     `json:"editable"`
	Refresh       string   `json:"refresh"`
	Timezone      string   `json:"timezone"`
	Tags          []string `json:"tags"`
	Time          struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"time"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int             `json:"id"`
	Type        string          `json:"type"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Grid        grid            `json:"gridPos"`
	Source      source          `json:"datasource"`
	FieldConfig json.RawMessage `json:"fieldConfig"`
	Options     json.RawMessage `json:"options"`
	Targets     []target        `json:"targets"`
}

type grid struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// overlaps: the panels would lie on each other.
func (g grid) overlaps(o grid) bool {
	return g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type target struct {
	RefID  string `json:"refId"`
	Expr   string `json:"expr"`
	Legend string `json:"legendFormat"`
	Source source `json:"datasource"`
}

func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("../grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	dashboards := map[string]dashboard{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(content))
		decoder.DisallowUnknownFields()
		var d dashboard
		if err := decoder.Decode(&d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		dashboards[file] = d
	}
	return dashboards
}

func TestDashboard_IsWellFormed(t *testing.T) {
	provisioned, err := os.ReadFile("../grafana/provisioning/datasources/prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	for file, d := range readDashboards(t) {
		for _, fault := range d.faults() {
			t.Errorf("%s: %s", file, fault)
		}
		for _, p := range d.Panels {
			if !strings.Contains(string(provisioned), "uid: "+p.Source.UID+"\n") {
				t.Errorf("%s: panel %q asks the data source %q, which is not provisioned", file, p.Title, p.Source.UID)
			}
		}
	}
}

func (d dashboard) faults() []string {
	var found []string
	fault := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) == 0 {
		fault("no uid, title, panels, or a schema older than data sources by uid: %q, %q, %d", d.UID, d.Title, d.SchemaVersion)
	}
	ids := map[int]bool{}
	for n, p := range d.Panels {
		at := fmt.Sprintf("panel %q", p.Title)
		if p.Title == "" || p.Description == "" || p.ID == 0 || ids[p.ID] {
			fault("%s: no title, no description, or no id of its own: %d", at, p.ID)
		}
		ids[p.ID] = true
		if !slices.Contains([]string{"stat", "timeseries", "table", "heatmap", "bargauge", "gauge", "piechart"}, p.Type) {
			fault("%s: type %q", at, p.Type)
		}
		if g := p.Grid; g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			fault("%s: %+v is not within the 24 columns", at, g)
		}
		for _, other := range d.Panels[:n] {
			if p.Grid.overlaps(other.Grid) {
				fault("%s lies on %q", at, other.Title)
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if q.RefID == "" || refs[q.RefID] || q.Expr == "" || q.Source != p.Source || q.Source.Type != "prometheus" {
				fault("%s: no refId of its own, no query, or another data source: %+v", at, q)
			}
			refs[q.RefID] = true
		}
		if len(p.Targets) == 0 {
			fault("%s: no query", at)
		}
	}
	return found
}

func TestDashboardFaults_AreFound(t *testing.T) {
	for _, good := range readDashboards(t) {
		for name, breaks := range map[string]func(*dashboard){
			"overlap":        func(d *dashboard) { d.Panels[1].Grid = d.Panels[0].Grid },
			"off the grid":   func(d *dashboard) { d.Panels[0].Grid.X = 23 },
			"id twice":       func(d *dashboard) { d.Panels[1].ID = d.Panels[0].ID },
			"no query":       func(d *dashboard) { d.Panels[0].Targets = nil },
			"unknown type":   func(d *dashboard) { d.Panels[0].Type = "graph" },
			"no description": func(d *dashboard) { d.Panels[0].Description = "" },
		} {
			bad := good
			bad.Panels = slices.Clone(good.Panels)
			if breaks(&bad); len(bad.faults()) == 0 {
				t.Errorf("%s is not found", name)
			}
		}
	}
}

// Every query of dashboards and alerts is run over what a gateway exports: it asks for metrics, labels and values that there are.
func TestQueries_AskForWhatTheGatewayExports(t *testing.T) {
	samples := scrape(t)
	storage := store(t, samples)
	engine := promqltest.NewTestEngine(t, false, 0, 1e6)
	queries := allQueries(t)
	if len(queries) < 20 {
		t.Fatalf("%d queries", len(queries))
	}
	exported := names(samples)
	for place, query := range queries {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v:\n%s", place, err, query)
			continue
		}
		for _, selector := range selectors(expr) {
			if !exported[selector.Name] {
				t.Errorf("%s asks for %s, which the gateway does not export", place, selector.Name)
				continue
			}
			if !answered(samples, selector) {
				t.Errorf("%s asks for %s, and no series of a fresh gateway matches", place, selector)
			}
		}
		result, err := engine.NewInstantQuery(t.Context(), storage, nil, query, scraped.Add(time.Hour))
		if err != nil {
			t.Errorf("%s: %v", place, err)
			continue
		}
		if r := result.Exec(t.Context()); r.Err != nil || len(r.Warnings) > 0 {
			t.Errorf("%s: %v, warnings %v:\n%s", place, r.Err, r.Warnings, query)
		}
		result.Close()
	}
}

// What the gateway exports of its own is looked at somewhere.
func TestQueries_LookAtAllThatTheGatewayExports(t *testing.T) {
	asked := map[string]bool{}
	for _, query := range allQueries(t) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Fatalf("%v:\n%s", err, query)
		}
		for _, selector := range selectors(expr) {
			asked[base(selector.Name)] = true
		}
	}
	for name := range names(scrape(t)) {
		if strings.HasPrefix(name, "gateway_") && !asked[base(name)] {
			t.Errorf("no panel and no alert asks for %s", name)
		}
	}
}

// base is the metric that a histogram's series belong to.
func base(name string) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

// allQueries are the queries of dashboards and alerts, by place. Grafana's variables have values.
func allQueries(t *testing.T) map[string]string {
	t.Helper()
	queries := map[string]string{}
	for _, d := range readDashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				queries[fmt.Sprintf("%s: panel %d, %q, %s", d.UID, p.ID, p.Title, q.RefID)] = strings.NewReplacer(
					"$__rate_interval", "1m", "$__interval", "15s", "$__range", "15m").Replace(q.Expr)
			}
		}
	}
	for _, group := range ruleGroups(t).Groups {
		for _, rule := range group.Rules {
			queries["alert "+rule.Alert] = rule.Expr
		}
	}
	return queries
}

func selectors(expr parser.Expr) []*parser.VectorSelector {
	var found []*parser.VectorSelector
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			found = append(found, selector)
		}
		return nil
	})
	return found
}

func answered(samples []sample, selector *parser.VectorSelector) bool {
	if selector.Name == "up" { // by the scrape itself
		return true
	}
	return slices.ContainsFunc(samples, func(s sample) bool {
		for _, matcher := range selector.LabelMatchers {
			if !matcher.Matches(s.labels.Get(matcher.Name)) {
				return false
			}
		}
		return true
	})
}

// scraped is when the samples are from.
var scraped = time.Unix(1_700_000_000, 0)

// store keeps the samples as if they had been scraped every 15 s for an hour.
func store(t *testing.T, samples []sample) *teststorage.TestStorage {
	t.Helper()
	storage := teststorage.New(t)
	t.Cleanup(func() { _ = storage.Close() })
	appender := storage.Appender(t.Context())
	up := labels.FromStrings(model.MetricNameLabel, "up", "job", "gateway", "instance", "replica")
	for at := scraped; !at.After(scraped.Add(time.Hour)); at = at.Add(15 * time.Second) {
		for _, s := range append(slices.Clip(samples), sample{up, 1}) {
			if _, err := appender.Append(0, s.labels, at.UnixMilli(), s.value); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
	return storage
}

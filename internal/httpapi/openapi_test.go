package httpapi

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"

	"sse-gateway/internal/auth"
	"sse-gateway/internal/sse"
)

// document is the description of the surface, checked once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(openapiDocument)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(loader.Context, openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation())
})

func openapiDoc(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return doc
}

// template is a route as the description spells it; empty for one that is no part of the interface.
func template(route string) string {
	if strings.HasPrefix(route, "/assets/") {
		return "" // what the page is made of
	}
	return route
}

func TestOpenAPI_DescribesEveryRouteAndNothingElse(t *testing.T) {
	g := newTestGateway(t, auth.None{}, Options{})
	got := g.do(http.MethodGet, "/openapi.json", "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" || got.body != string(openapiDocument) {
		t.Errorf("got %d %v", got.status, got.header)
	}
	doc := openapiDoc(t)
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("it is of OpenAPI %s", doc.OpenAPI)
	}
	var described, routed []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	err := chi.Walk(g.routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		if template(route) != "" {
			routed = append(routed, method+" "+template(route))
		}
		return nil
	})
	slices.Sort(described)
	slices.Sort(routed)
	if err != nil || !slices.Equal(described, routed) {
		t.Errorf("%v: described %q, routed %q", err, described, routed)
	}
}

func TestOpenAPI_ListsEveryProblem(t *testing.T) {
	var listed, made []string
	for _, slug := range openapiDoc(t).Components.Schemas["Problem"].Value.Properties["type"].Value.Enum {
		listed = append(listed, strings.TrimPrefix(slug.(string), "urn:sse-gateway:problem:"))
	}
	made = literals(t, map[string]int{"newProblem": 1, "unavailable": 0})
	slices.Sort(listed)
	slices.Sort(made)
	if made = slices.Compact(made); !slices.Equal(listed, made) {
		t.Errorf("listed %q, made %q", listed, made)
	}
}

// Every parameter that a route knows is described, and the other way round.
func TestOpenAPI_DescribesEveryParameter(t *testing.T) {
	doc := openapiDoc(t)
	for path, known := range map[string]*parameters{
		"GET /subscribe": subscribeParameters(), "POST /publish": publishParameters(), "GET /topics": pageParameters(),
		"GET /topics/{topic}/events": historyParameters(), "GET /users/{user}/events": historyParameters(),
	} {
		method, path, _ := strings.Cut(path, " ")
		described := []string{"access_token"} // a security scheme
		for _, parameter := range doc.Paths.Value(path).GetOperation(method).Parameters {
			if parameter.Value.In == openapi3.ParameterInQuery {
				described = append(described, parameter.Value.Name)
			}
		}
		slices.Sort(described)
		if want := slices.Sorted(slices.Values(known.names)); !slices.Equal(described, want) {
			t.Errorf("%s: described %q, want %q", path, described, want)
		}
	}
}

// A check that finds nothing wrong with anything would be none.
func TestOpenAPI_ChecksAnswers(t *testing.T) {
	doc := openapiDoc(t)
	operation := doc.Paths.Value("/topics/{topic}").Get
	jsonHeader := http.Header{"Content-Type": {"application/json"}}
	good := `{"topic":"t","subscribers":0,"events":0,"closed":false}`
	for body, want := range map[string]bool{good: true, `{"topic":"t"}`: false, strings.Replace(good, "0", `"0"`, 1): false, strings.Replace(good, "events", "event", 1): false} {
		if err := conforms(doc, operation, answered{status: 200, header: jsonHeader, body: body}); (err == nil) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	for name, got := range map[string]answered{
		"status": {status: 204}, "content type": {status: 200, header: http.Header{"Content-Type": {"text/html"}}, body: good},
		"problem": {status: 404, header: http.Header{"Content-Type": {"application/problem+json"}}, body: `{"type":"urn:x","title":"x","status":404,"detail":"x"}`},
	} {
		if conforms(doc, operation, got) == nil {
			t.Errorf("a wrong %s is not noticed", name)
		}
	}
}

// conform holds an answer against the description.
func (g *testGateway) conform(method, path string, got answered) {
	g.t.Helper()
	doc := openapiDoc(g.t)
	if method == http.MethodHead {
		got.body, method = "", http.MethodGet
	}
	var operation *openapi3.Operation
	if address, err := url.ParseRequestURI(path); err == nil {
		route := chi.NewRouteContext()
		if g.routes.Match(route, method, address.EscapedPath()) && template(route.RoutePattern()) != "" {
			operation = doc.Paths.Value(route.RoutePattern()).GetOperation(method)
		}
	}
	if err := conforms(doc, operation, got); err != nil {
		g.t.Errorf("%s %s is answered otherwise than openapi.json says: %d %s: %v", method, path, got.status, got.body, err)
	}
}

// conforms tells what is wrong with an answer. Without an operation only problems are known.
func conforms(doc *openapi3.T, operation *openapi3.Operation, got answered) error {
	media, _, _ := mime.ParseMediaType(got.header.Get("Content-Type"))
	if operation == nil {
		if media != "application/problem+json" {
			return nil
		}
		return fits(doc.Components.Schemas["Problem"], got.body)
	}
	response := operation.Responses.Status(got.status)
	if response == nil {
		return fmt.Errorf("status %d is not described", got.status)
	}
	content := response.Value.Content
	if len(content) == 0 && got.body == "" || media == "" && got.body == "" {
		return nil
	}
	described := content.Get(media)
	if described == nil {
		return fmt.Errorf("content type %q is not described", media)
	}
	switch {
	case got.body == "":
		return nil
	case media == "application/x-ndjson":
		for line := range strings.Lines(got.body) {
			if err := fits(described.Schema, line); err != nil {
				return err
			}
		}
		return nil
	case strings.HasSuffix(media, "json"):
		return fits(described.Schema, got.body)
	}
	return nil
}

func fits(schema *openapi3.SchemaRef, text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	return schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020(), openapi3.EnableFormatValidation())
}

// conform holds the data of an event against its schema.
func (s *testStream) conform(event sse.Event) {
	s.t.Helper()
	name := map[string]string{"ready": "Ready", "gap": "Gap", "position": "Position", "expiring": "Expiring"}[event.Type]
	if name == "" {
		if s.response.Request.URL.Query().Has("raw") {
			return
		}
		name = "Envelope"
	}
	if err := fits(openapiDoc(s.t).Components.Schemas[name], event.Data); err != nil {
		s.t.Errorf("the event %+v is otherwise than openapi.json says: %v", event, err)
	}
}

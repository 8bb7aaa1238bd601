package httpapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sse-gateway/internal/fanout"
	"sse-gateway/internal/stream"
)

// Why a subscriber is told to come back later: the label of the metric.
const (
	refusedDrain = "drain" // the replica stops
	refusedKeys  = "keys"  // the keys that tokens are checked with are unavailable
	refusedLimit = "limit" // a limit of streams is reached
	refusedStore = "store" // Redis is unavailable
)

// metrics are what /metrics shows. No metric has a label by topic or user: there may be millions.
type metrics struct {
	registry  *prometheus.Registry
	published prometheus.Counter
	rejected  *prometheus.CounterVec // events that were not published, by the problem's type
	refused   *prometheus.CounterVec // subscribers told to come back later, by reason
}

func newMetrics(hub *fanout.Hub, streams *stream.Streams) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_events_published_total",
			Help: "Events that were published through this replica.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_events_rejected_total",
			Help: "Events sent to this replica that were not published, or perhaps not, by the type of the problem.",
		}, []string{"problem"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_streams_refused_total",
			Help: "Subscribers that were told to come back later, by reason.",
		}, []string{"reason"}),
	}
	// A counter that begins with its first event shows no increase, so that an alert would not see that event.
	for _, slug := range eventProblems() {
		m.rejected.WithLabelValues(slug)
	}
	for _, reason := range []string{refusedDrain, refusedKeys, refusedLimit, refusedStore} {
		m.refused.WithLabelValues(reason)
	}
	m.registry.MustRegister(m.published, m.rejected, m.refused, newStateCollector(hub, streams),
		collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// eventProblems are the types of the problems that an event can end with.
func eventProblems() []string {
	return []string{
		"cancelled", "forbidden", "internal", "invalid-request", "keys-unavailable", "not-found", "not-sent", "refused",
		"outcome-unknown", "rate-limited", "store-full", "timeout", "too-large", "too-many-requests", "topic-closed", "stopped", "unauthenticated", "unsupported-encoding",
	}
}

// reject counts n events that ended with a problem.
func (m *metrics) reject(p *problem, n int) { m.rejected.WithLabelValues(p.slug).Add(float64(n)) }

func (m *metrics) handler() http.Handler {
	return promhttp.InstrumentMetricHandler(m.registry, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
}

// A stateCollector reads what the hub and the streams count themselves, at each scrape.
type stateCollector struct {
	hub     *fanout.Hub
	streams *stream.Streams

	ready, open, delivered, bytes, writes, closed, refusals *prometheus.Desc
}

func newStateCollector(hub *fanout.Hub, streams *stream.Streams) *stateCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("gateway_"+name, help, labels, nil)
	}
	return &stateCollector{
		hub:       hub,
		streams:   streams,
		ready:     desc("broker_ready", "1 while the event store answers and this replica has caught up, else 0."),
		open:      desc("streams_open", "Open streams of this replica."),
		delivered: desc("events_delivered_total", "Events written to streams, gaps and the like included; heartbeats are none."),
		bytes:     desc("delivered_bytes_total", "Bytes of these frames."),
		writes:    desc("stream_writes_total", "Writes that took these frames; one takes all that is pending for a stream."),
		closed:    desc("streams_closed_total", "Streams that have ended, by reason.", "reason"),
		refusals:  desc("redis_refusals_total", "What Redis has refused, by the kind of its answer.", "kind"),
	}
}

// Describe sends the descriptions of all metrics.
func (c *stateCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.ready, c.open, c.delivered, c.bytes, c.writes, c.closed, c.refusals} {
		descs <- desc
	}
}

// Collect sends the present values.
func (c *stateCollector) Collect(values chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	ready := 0.0
	if c.hub.Ready() == nil {
		ready = 1
	}
	stats := c.streams.Stats()
	send(c.ready, prometheus.GaugeValue, ready)
	send(c.open, prometheus.GaugeValue, float64(stats.Open))
	send(c.delivered, prometheus.CounterValue, float64(stats.Delivered))
	send(c.bytes, prometheus.CounterValue, float64(stats.Bytes))
	send(c.writes, prometheus.CounterValue, float64(stats.Writes))
	for reason, count := range stats.Closed {
		send(c.closed, prometheus.CounterValue, float64(count), reason)
	}
	for kind, count := range c.hub.Refusals() {
		send(c.refusals, prometheus.CounterValue, float64(count), kind)
	}
}

// Package check holds what is in deploy/ against the tools that read it: the chart against Helm and the types of Kubernetes, the
// alerts against promtool, the dashboard's queries against Prometheus's engine and what the gateway exports. It is a module of its
// own, so that none of these is a dependency of the gateway.
package check

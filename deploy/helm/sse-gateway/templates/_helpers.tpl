{{/* The name of everything. It leads with sse-, for Kubernetes turns the name of a Service into variables of the other
     pods of its namespace, and those that begin with GATEWAY_ are the gateway's settings. */}}
{{- define "gateway.name" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains "sse-gateway" .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "sse-gateway-%s" .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: sse-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "gateway.metadata" -}}
name: {{ include "gateway.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "gateway.labels" . | nindent 2 }}
{{- end -}}

{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What it is called by: inside the cluster, and outside. Where nobody is asked who they are it answers to no other name. */}}
{{- define "gateway.hosts" -}}
{{- $inside := printf "%s.%s" (include "gateway.name" .) .Release.Namespace -}}
{{- $names := list (include "gateway.name" .) $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) -}}
{{- if .Values.ingress.enabled }}{{ $names = concat $names .Values.ingress.hosts }}{{ end -}}
{{- if .Values.httpRoute.enabled }}{{ $names = concat $names .Values.httpRoute.hostnames }}{{ end -}}
{{ join "," $names }}
{{- end -}}

{{/* What the gateway needs at most once it has been told to stop, after its drain: 5 s for what is pending for the last streams, 5 s
     for requests under way, and some for Redis. */}}
{{- define "gateway.grace" -}}
{{ add .Values.stop.preStopSeconds .Values.stop.drainSeconds 15 }}
{{- end -}}

{{/* The garbage collector works harder before the kernel ends the process. */}}
{{- define "gateway.memlimit" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if regexMatch "^[0-9]+Mi$" $limit -}}
{{ div (mul (trimSuffix "Mi" $limit | int) 9) 10 }}MiB
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{ div (mul (trimSuffix "Gi" $limit | int) 9216) 10 }}MiB
{{- end -}}
{{- end -}}

{{- define "gateway.check" -}}
{{- if not (or .Values.redis.url .Values.redis.existingSecret) -}}
{{- fail "redis: set redis.url, or redis.existingSecret to the name of a Secret with the URL; replicas share nothing without Redis" -}}
{{- end -}}
{{- if and .Values.redis.url .Values.redis.existingSecret -}}
{{- fail "redis: set redis.url or redis.existingSecret, not both" -}}
{{- end -}}
{{- $keys := len (compact (list .Values.auth.jwtKey .Values.auth.existingSecret .Values.auth.jwksURL)) -}}
{{- if and (eq .Values.auth.mode "jwt") (ne $keys 1) -}}
{{- fail "auth: with mode jwt set one of auth.jwtKey, auth.existingSecret and auth.jwksURL; mode none believes everybody" -}}
{{- end -}}
{{- if and (eq .Values.auth.mode "none") (ne $keys 0) -}}
{{- fail "auth: mode none uses no key; remove auth.jwtKey, auth.existingSecret and auth.jwksURL, or set mode to jwt" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress: set ingress.hosts to the names that the gateway answers to" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute: set httpRoute.parentRefs to the Gateways that it belongs to" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling: minReplicas is larger than maxReplicas" -}}
{{- end -}}
{{- end -}}

{{- define "exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters at most, since the names of objects have suffixes and those of pods are labels. */}}
{{- define "exporter.fullname" -}}
{{- $name := include "exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "exporter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* Labels of an object: those of the chart, and `labels` of the argument. */}}
{{- define "exporter.labels" -}}
{{- $chart := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $selector := include "exporter.selectorLabels" .root | fromYaml }}
{{- mergeOverwrite (dict) .root.Values.commonLabels (.labels | default dict) $chart $selector | toYaml }}
{{- end }}

{{/* Head of an object; arguments: root, suffix, namespace, labels, annotations. */}}
{{- define "exporter.metadata" -}}
metadata:
  name: {{ printf "%s%s" (include "exporter.fullname" .root) (.suffix | default "") | quote }}
  namespace: {{ .namespace | default (include "exporter.namespace" .root) | quote }}
  labels:
    {{- include "exporter.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "exporter.image" -}}
{{- $name := .repository }}
{{- with .registry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if .digest }}
{{- printf "%s@%s" $name .digest }}
{{- else }}
{{- printf "%s:%s" $name (.tag | default .version) }}
{{- end }}
{{- end }}

{{- define "exporter.strategy" -}}
{{- $strategy := "RollingUpdate" }}
{{- range .Values.extraVolumes }}
{{- if .persistentVolumeClaim }}
{{- $strategy = "Recreate" }}
{{- end }}
{{- end }}
{{- .Values.strategy | default $strategy }}
{{- end }}

{{- define "exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "exporter.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "exporter.cloudsSecret" -}}
{{- .Values.credentials.existingSecret | default (printf "%s-clouds" (include "exporter.fullname" .)) }}
{{- end }}

{{- define "exporter.tlsSecret" -}}
{{- .Values.tls.existingSecret | default (printf "%s-tls" (include "exporter.fullname" .)) }}
{{- end }}

{{- define "exporter.settings" -}}
{{- toYaml .Values.config }}
{{- end }}

{{- define "exporter.cloudsData" -}}
{{- with .Values.credentials.clouds }}
clouds.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.credentials.secure }}
secure.yaml: |
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The web configuration file; empty if pages are served without one. */}}
{{- define "exporter.webConfig" -}}
{{- $tls := dict }}
{{- if .Values.tls.enabled }}
{{- $folder := "/etc/openstack-image-exporter-tls" }}
{{- $pair := dict "cert_file" (printf "%s/tls.crt" $folder) "key_file" (printf "%s/tls.key" $folder) }}
{{- $tls = dict "tls_server_config" $pair }}
{{- end }}
{{- with mergeOverwrite $tls (deepCopy .Values.webConfig) }}
{{- toYaml . }}
{{- end }}
{{- end }}

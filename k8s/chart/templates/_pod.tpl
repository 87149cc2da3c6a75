{{/* The pod of the Deployment and of the StatefulSet. */}}
{{- define "exporter.pod" -}}
{{- $values := .Values }}
{{- $fullname := include "exporter.fullname" . }}
{{- $web := include "exporter.webConfig" . }}
{{- $annotations := deepCopy .Values.podAnnotations }}
{{- if not (or .Values.existingConfigMap .Values.reloadOnChange) }}
{{- $_ := set $annotations "checksum/config" (include "exporter.settings" . | sha256sum) }}
{{- end }}
{{- if and .Values.credentials.enabled .Values.credentials.clouds }}
{{- $_ := set $annotations "checksum/clouds" (include "exporter.cloudsData" . | sha256sum) }}
{{- end }}
{{- if .Values.openshift }}
{{- $_ := set $annotations "openshift.io/required-scc" "restricted-v2" }}
{{- end }}
metadata:
  labels:
    {{- $selector := include "exporter.selectorLabels" . | fromYaml }}
    {{- mergeOverwrite (dict) .Values.commonLabels .Values.podLabels $selector | toYaml | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "exporter.serviceAccountName" . | quote }}
  # The exporter does not use the Kubernetes API.
  automountServiceAccountToken: false
  enableServiceLinks: false
  # The exporter exits within two seconds of SIGTERM.
  terminationGracePeriodSeconds: 10
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $context := deepCopy .Values.podSecurityContext }}
  {{- if .Values.openshift }}
  {{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
  {{- end }}
  securityContext:
    {{- toYaml $context | nindent 4 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if gt (int .Values.shards) 1 }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "exporter.selectorLabels" . | nindent 10 }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      {{- $version := dict "version" .Chart.AppVersion }}
      image: {{ include "exporter.image" (mergeOverwrite (deepCopy .Values.image) $version) | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - run
        - --config.file=/etc/openstack-image-exporter/exporter.yml
        {{- if $web }}
        - --web.config.file=/etc/openstack-image-exporter-web/web.yml
        {{- end }}
        {{- if .Values.reloadOnChange }}
        - --config.reload-on-change
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or (gt (int .Values.shards) 1) .Values.extraEnv }}
      env:
        {{- if gt (int .Values.shards) 1 }}
        # The shard index is the number at the end of the pod's name.
        - name: IMAGE_EXPORTER_SHARD__INDEX
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        - name: IMAGE_EXPORTER_SHARD__TOTAL
          value: {{ int .Values.shards | quote }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 10292
      {{- if $web }}
      # The probes run inside the pod, since a kubelet has no password or client certificate, which
      # web.yml may require.
      startupProbe:
        exec:
          command: [python, -m, exporter.healthcheck, healthy]
        periodSeconds: 2
        timeoutSeconds: 10
        failureThreshold: 60
      livenessProbe:
        exec:
          command: [python, -m, exporter.healthcheck, healthy]
        periodSeconds: 10
        timeoutSeconds: 10
        failureThreshold: 6
      readinessProbe:
        exec:
          command: [python, -m, exporter.healthcheck, ready]
        periodSeconds: 10
        timeoutSeconds: 10
      {{- else }}
      startupProbe:
        httpGet:
          path: /-/healthy
          port: http
        periodSeconds: 1
        failureThreshold: 60
      # Neither probe depends on a cloud; otherwise an outage of a cloud would restart the exporter.
      livenessProbe:
        httpGet:
          path: /-/healthy
          port: http
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet:
          path: /-/ready
          port: http
        periodSeconds: 5
        timeoutSeconds: 5
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/openstack-image-exporter
          readOnly: true
        {{- if .Values.credentials.enabled }}
        # openstacksdk looks for clouds.yaml here, among other places.
        - name: clouds
          mountPath: /etc/openstack
          readOnly: true
        {{- end }}
        {{- if $web }}
        - name: web
          mountPath: /etc/openstack-image-exporter-web
          readOnly: true
        {{- end }}
        {{- if .Values.tls.enabled }}
        - name: tls
          mountPath: /etc/openstack-image-exporter-tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ .Values.existingConfigMap | default $fullname | quote }}
    {{- if .Values.credentials.enabled }}
    - name: clouds
      secret:
        secretName: {{ include "exporter.cloudsSecret" . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- if $web }}
    - name: web
      configMap:
        name: {{ $fullname }}-web
    {{- end }}
    {{- if .Values.tls.enabled }}
    - name: tls
      secret:
        secretName: {{ include "exporter.tlsSecret" . | quote }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

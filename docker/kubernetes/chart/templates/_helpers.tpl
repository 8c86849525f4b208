{{/* Name of all objects: that of the release, which has `switchback` in it. */}}
{{- define "switchback.name" -}}
{{- if contains "switchback" .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-switchback" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "switchback.selector" -}}
app.kubernetes.io/name: switchback
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "switchback.labels" -}}
{{ include "switchback.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

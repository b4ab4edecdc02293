{{/* Names, labels, and checks that a schema cannot express. */}}

{{- define "gamekeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters, so that every suffix below keeps a name within 63. */}}
{{- define "gamekeeper.fullname" -}}
{{- $name := include "gamekeeper.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gamekeeper.selectorLabels" -}}
app.kubernetes.io/name: {{ include "gamekeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: aggregator
{{- end -}}

{{- define "gamekeeper.labels" -}}
{{ include "gamekeeper.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{/* The aggregator sets this label on its own pod while it leads. */}}
{{- define "gamekeeper.leaderLabel" -}}
gamekeeper.dev/leader: "true"
{{- end -}}

{{- define "gamekeeper.serviceAccountName" -}}
{{- default (include "gamekeeper.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "gamekeeper.reportsService" -}}
{{ include "gamekeeper.fullname" . }}-reports
{{- end -}}

{{- define "gamekeeper.statusService" -}}
{{ include "gamekeeper.fullname" . }}-status
{{- end -}}

{{- define "gamekeeper.leaseName" -}}
{{ include "gamekeeper.fullname" . }}-aggregator
{{- end -}}

{{- define "gamekeeper.tlsSecret" -}}
{{- default (printf "%s-reports-tls" (include "gamekeeper.fullname" .)) .Values.tls.secretName -}}
{{- end -}}

{{/* An image reference; takes the image's values and the chart's version of the application. */}}
{{- define "gamekeeper.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .version .image.tag }}
{{- end -}}
{{- end -}}

{{/* What a schema cannot say; one line each. */}}
{{- define "gamekeeper.check" -}}
{{- if and (eq .Values.tls.mode "secret") (not .Values.tls.secretName) -}}
{{- fail "tls.secretName must name a Secret with tls.crt, tls.key and ca.crt when tls.mode is secret" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name must be set when serviceAccount.create is false" -}}
{{- end -}}
{{- if and .Values.scaler.clientCertificates (not .Values.scaler.tlsSecretName) -}}
{{- fail "scaler.tlsSecretName must be set when scaler.clientCertificates is true" -}}
{{- end -}}
{{- if and (ne .Values.tls.mode "certManager") .Values.tls.certManager.issuerRef.name -}}
{{- fail "tls.certManager.issuerRef is set, but tls.mode is not certManager" -}}
{{- end -}}
{{- end -}}

{{/* The service's name. A name that is too long is an error and is not cut, because the names of all
objects begin with it. */}}
{{- define "fastapi-service.name" -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the service's name %q must begin with a letter and contain only a-z, 0-9 and -; set nameOverride" $name) -}}
{{- end -}}
{{- if gt (len $name) 40 -}}
{{- fail (printf "the service's name %q has more than 40 characters; set nameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "fastapi-service.labels" -}}
app.kubernetes.io/name: {{ include "fastapi-service.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/*
If the definition is missing, Helm's own error names neither the operator nor a remedy. Without a
cluster Helm knows groups and versions only; with one it knows kinds as well. So a kind that every
cluster has shows which is the case, and the check needs no further right to read.
*/}}
{{- define "fastapi-service.requireDefinition" -}}
{{- if and (.Capabilities.APIVersions.Has "v1/Pod") (not (.Capabilities.APIVersions.Has "fastapi-operator.io/v1alpha1/FastAPIService")) -}}
{{- fail "the cluster does not serve FastAPIService; install the operator first: helm install fastapi-operator charts/fastapi-operator --namespace fastapi-operator-system --create-namespace" -}}
{{- end -}}
{{- end -}}

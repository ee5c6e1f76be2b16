{{/* The service's name. It is refused, never cut: the names of all its objects begin with it. */}}
{{- define "fastapi-service.name" -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the service's name %q must begin with a letter and hold only a-z, 0-9 and -; set nameOverride" $name) -}}
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
Helm's answer to a missing definition names neither the operator nor what to do. Without a cluster
Helm knows groups and versions alone, with one it knows kinds as well: so a kind that every cluster
has tells the two apart, and nothing is asked that an installer may not read.
*/}}
{{- define "fastapi-service.requireDefinition" -}}
{{- if and (.Capabilities.APIVersions.Has "v1/Pod") (not (.Capabilities.APIVersions.Has "fastapi-operator.io/v1alpha1/FastAPIService")) -}}
{{- fail "the cluster does not know FastAPIService: install the operator first, with: helm install fastapi-operator charts/fastapi-operator --namespace fastapi-operator-system --create-namespace" -}}
{{- end -}}
{{- end -}}

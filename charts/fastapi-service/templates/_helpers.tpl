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
{{- include "fastapi-service.labelsWith" (list . dict) -}}
{{- end -}}

{{/* Labels of an object, each once; those that are given take precedence. */}}
{{- define "fastapi-service.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $labels := dict "app.kubernetes.io/name" (include "fastapi-service.name" $root) -}}
{{- $_ := set $labels "app.kubernetes.io/instance" $root.Release.Name -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- mergeOverwrite $labels (index . 1) | toYaml -}}
{{- end -}}

{{/*
If the definition is missing, Helm's own error names neither the operator nor a remedy. Without a
cluster Helm knows groups and versions only; with one it knows kinds as well. So a kind that every
cluster has shows which is the case, and the check needs no further right to read.
*/}}
{{- define "fastapi-service.requireDefinition" -}}
{{- if and (.Capabilities.APIVersions.Has "v1/Pod") (not (.Capabilities.APIVersions.Has "fastapi-operator.io/v1alpha1/FastAPIService")) -}}
{{- fail "the cluster does not serve FastAPIService; install the operator first: helm install fastapi-operator charts/fastapi-operator --namespace fastapi-operator-system --create-namespace; if it is installed already, wait: kubectl wait --for=condition=Established crd/fastapiservices.fastapi-operator.io" -}}
{{- end -}}
{{- end -}}

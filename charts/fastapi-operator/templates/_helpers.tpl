{{/*
The name of an object: the release's full name and a suffix for the object.
The full name is shortened if the name would exceed the 63 characters of a label.
Usage: include "fastapi-operator.name" (list . "metrics")
*/}}
{{- define "fastapi-operator.name" -}}
{{- $root := index . 0 -}}
{{- $suffix := index . 1 -}}
{{- $chart := default $root.Chart.Name $root.Values.nameOverride -}}
{{- $full := $root.Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = ternary $root.Release.Name (printf "%s-%s" $root.Release.Name $chart) (contains $chart $root.Release.Name) -}}
{{- end -}}
{{- if $suffix -}}
{{- $room := sub 62 (len $suffix) | int -}}
{{- printf "%s-%s" ($full | trunc $room | trimSuffix "-") $suffix -}}
{{- else -}}
{{- $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels by which selectors find the operator's pods; never changed, because selectors are immutable. */}}
{{- define "fastapi-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object. */}}
{{- define "fastapi-operator.labels" -}}
{{- include "fastapi-operator.labelsWith" (list . "" dict) -}}
{{- end -}}

{{/*
Labels of an object: those of every object, and those of a value, each once. Values take precedence,
except over the labels of selectors.
Usage: include "fastapi-operator.labelsWith" (list . "podLabels" .Values.podLabels)
*/}}
{{- define "fastapi-operator.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $selectors := include "fastapi-operator.selectorLabels" $root | fromYaml -}}
{{- $labels := dict "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "fastapi-operator" -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- range $name, $given := dict "commonLabels" $root.Values.commonLabels (index . 1) (index . 2) -}}
{{- range $key, $value := $given -}}
{{- if hasKey $selectors $key -}}
{{- fail (printf "%s: the label %s must not be set, because selectors of the chart use it; remove it, or set nameOverride or the name of the release" $name $key) -}}
{{- end -}}
{{- $_ := set $labels $key $value -}}
{{- end -}}
{{- end -}}
{{- merge $labels $selectors | toYaml -}}
{{- end -}}

{{/* registry/repository:tag@digest; a tag beside a digest is for readers. */}}
{{- define "fastapi-operator.image" -}}
{{- with .Values.image -}}
{{- $registry := ternary (printf "%s/" .registry) "" (not (empty .registry)) -}}
{{- $digest := ternary (printf "@%s" .digest) "" (not (empty .digest)) -}}
{{- printf "%s%s:%s%s" $registry .repository (default $.Chart.AppVersion .tag) $digest -}}
{{- end -}}
{{- end -}}

{{- define "fastapi-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "fastapi-operator.name" (list . "")) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* Whether OpenShift chooses users and groups. */}}
{{- define "fastapi-operator.openshift" -}}
{{- $served := .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}
{{- if or (eq .Values.openshift "always") (and (eq .Values.openshift "auto") $served) -}}
true
{{- end -}}
{{- end -}}

{{- define "fastapi-operator.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext -}}
{{- if include "fastapi-operator.openshift" . -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/*
The settings file. Helm drops a key that is overridden with null, which would restore the operator's
default. So a null that has a meaning is written; every other null is left out, because Helm 3 and 4
differ in the nulls of values.yaml itself.
*/}}
{{- define "fastapi-operator.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- range $name, $image := $settings.images -}}
{{- if not $image.digest -}}
{{- $_ := unset $image "digest" -}}
{{- end -}}
{{- end -}}
{{- if not $settings.storageClass -}}
{{- $_ := unset $settings "storageClass" -}}
{{- end -}}
{{- if or (not (hasKey $settings "runAsUser")) (include "fastapi-operator.openshift" .) -}}
{{- $_ := set $settings "runAsUser" nil -}}
{{- end -}}
{{- $_ := set $settings "watchNamespaces" .Values.watchNamespaces -}}
{{- $_ := set $settings "profiles" .Values.profiles -}}
{{- toYaml $settings -}}
{{- end -}}

{{/*
Whether an object of an optional API is rendered.
Usage: include "fastapi-operator.renders" (list . "serviceMonitor" "monitoring.coreos.com/v1/ServiceMonitor" .Values.serviceMonitor.renderMode)
*/}}
{{- define "fastapi-operator.renders" -}}
{{- $root := index . 0 -}}
{{- $value := index . 1 -}}
{{- $api := index . 2 -}}
{{- $mode := index . 3 -}}
{{- if or (eq $mode "alwaysRender") ($root.Capabilities.APIVersions.Has $api) -}}
true
{{- else if eq $mode "failIfMissing" -}}
{{- fail (printf "%s.enabled: the cluster does not serve %s; install it first, or set %s.renderMode to skipIfMissing or alwaysRender" $value $api $value) -}}
{{- end -}}
{{- end -}}

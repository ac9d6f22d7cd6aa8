{{- define "milena.name" -}}
{{- $name := .Release.Name -}}
{{- if contains .Chart.Name $name -}}
{{- trunc 50 $name | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "milena.serviceAccount" -}}
{{- default (include "milena.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "milena.selector" -}}
app.kubernetes.io/name: milena-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "milena.labels" -}}
{{ include "milena.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "milena.operatorImage" -}}
{{- printf "%s:%s" .Values.operator.image.repository (default .Chart.AppVersion .Values.operator.image.tag) -}}
{{- end -}}

{{- define "milena.brokerImage" -}}
{{- printf "%s:%s" .Values.broker.image.repository (default .Chart.AppVersion .Values.broker.image.tag) -}}
{{- end -}}

{{/* What the operator may do in a namespace that it watches. */}}
{{- define "milena.rules" -}}
# What users write. The operator's are the status, and the end of requests in annotations.
- apiGroups: [milena.dev]
  resources: [kafkaclusters, kafkatopics]
  verbs: [get, list, watch]
- apiGroups: [milena.dev]
  resources: [kafkaclusters/status, kafkatopics/status]
  verbs: [patch]
# The annotation that declares a restored backup of etcd goes once that is dealt with.
- apiGroups: [milena.dev]
  resources: [kafkaclusters]
  verbs: [patch]
- apiGroups: [milena.dev]
  resources: [kafkapartitions]
  verbs: [get, list, watch, create, update, patch, delete]
# What a KafkaCluster is made of.
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
# Volumes grow with spec.storage.size.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, patch]
# Who is alive.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Nobody may grant what he does not hold: these are for the brokers' role.
- apiGroups: [milena.dev]
  resources: [kafkatopics]
  verbs: [create, patch, delete]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create, update, patch]
{{- end -}}

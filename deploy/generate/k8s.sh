# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/k8s/: base, a component that scales by KEDA, overlays for one machine and for production.

k8s_volume_mode=0440 # with fsGroup: for the service's user alone

k8s_env() { # k8s_env SERVICE: where each setting's file is
	local url
	for url in $(urls_of "$1"); do
		echo "            - {name: ${url^^}_URL_FILE, value: /run/garrison/$url-url}"
	done
	[[ $1 != gateway ]] || echo '            - {name: SERVICE_TOKEN_FILE, value: /run/garrison/service-token}'
}

k8s_deployment() {
	local service=$1
	cat <<-END
		apiVersion: apps/v1
		kind: Deployment
		metadata:
		  name: garrison-$service
		  labels: &labels {app.kubernetes.io/name: garrison-$service, app.kubernetes.io/part-of: garrison}
		spec:
		  replicas: ${replicas[$service]}
		  revisionHistoryLimit: 5
		  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
		  selector: {matchLabels: {app.kubernetes.io/name: garrison-$service}}
		  template:
		    metadata:
		      labels: *labels
		      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9100"}
		    spec:
		      automountServiceAccountToken: false
		      enableServiceLinks: false
		      terminationGracePeriodSeconds: $stop_grace_s # SHUTDOWN_GRACE is 25s
		      securityContext:
		        runAsNonRoot: true
		        runAsUser: 65532
		        runAsGroup: 65532
		        fsGroup: 65532
		        seccompProfile: {type: RuntimeDefault}
		      topologySpreadConstraints:
		        - maxSkew: 1
		          topologyKey: kubernetes.io/hostname
		          whenUnsatisfiable: ScheduleAnyway
		          labelSelector: {matchLabels: {app.kubernetes.io/name: garrison-$service}}
		      containers:
		        - name: $service
		          image: garrison-$service
		          envFrom: [{configMapRef: {name: garrison-settings}}]
		          env:
	END
	k8s_env "$service"
	echo '          ports:'
	echo '            - {name: admin, containerPort: 9100}'
	[[ $service != gateway ]] || echo '            - {name: http, containerPort: 8080}'
	cat <<-END
		          startupProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 1, failureThreshold: 90}
		          livenessProbe: {httpGet: {path: /healthz, port: admin}, periodSeconds: 10, timeoutSeconds: 3, failureThreshold: 3}
		          readinessProbe: {httpGet: {path: /readyz, port: admin}, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 2}
		          resources:
		            requests: {cpu: 100m, memory: ${memory[$service]}}
		            limits: {memory: ${memory[$service]}}
		          securityContext:
		            allowPrivilegeEscalation: false
		            readOnlyRootFilesystem: true
		            capabilities: {drop: [ALL]}
		          volumeMounts: [{name: secrets, mountPath: /run/garrison, readOnly: true}]
		      volumes:
		        - name: secrets
		          secret: {secretName: garrison-$service, defaultMode: $k8s_volume_mode}
	END
}

k8s_egress() { # k8s_egress SERVER PORT
	echo "    - to: [{podSelector: {matchLabels: {app.kubernetes.io/name: $1}}}]"
	echo "      ports: [{protocol: TCP, port: $2}]"
}

k8s_network_policy() {
	local service=$1
	cat <<-END
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: garrison-$service}
		spec:
		  podSelector: {matchLabels: {app.kubernetes.io/name: garrison-$service}}
		  policyTypes: [Ingress, Egress]
		  ingress:
		    - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
		      ports: [{protocol: TCP, port: 9100}]
	END
	if [[ $service == gateway ]]; then
		echo '    - ports: [{protocol: TCP, port: 8080}]'
	fi
	cat <<-'END'
		  egress:
		    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
		      ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
	END
	k8s_egress rabbitmq 5672
	[[ ${needs[$service]} != *redis* ]] || k8s_egress redis 6379
	[[ ${needs[$service]} != *postgres* ]] || k8s_egress postgres 5432
}

k8s_service() {
	local service=$1
	k8s_deployment "$service"
	cat <<-END
		---
		apiVersion: policy/v1
		kind: PodDisruptionBudget
		metadata: {name: garrison-$service}
		spec:
		  maxUnavailable: 1
		  selector: {matchLabels: {app.kubernetes.io/name: garrison-$service}}
	END
	k8s_network_policy "$service"
	if [[ $service == gateway ]]; then
		cat <<-END
			---
			apiVersion: v1
			kind: Service
			metadata: {name: garrison-gateway, labels: {app.kubernetes.io/part-of: garrison}}
			spec:
			  selector: {app.kubernetes.io/name: garrison-gateway}
			  ports: [{name: http, port: 80, targetPort: http}]
		END
	fi
}

# KEDA's HTTP protocol reads the queue's length with what consumers hold unacknowledged; by AMQP it would see what is ready only.
k8s_scaler() {
	local service=$1 queue
	cat <<-END
		apiVersion: keda.sh/v1alpha1
		kind: ScaledObject
		metadata: {name: garrison-$service}
		spec:
		  scaleTargetRef: {name: garrison-$service}
		  minReplicaCount: ${replicas[$service]}
		  maxReplicaCount: ${most[$service]}
		  pollingInterval: 10
		  cooldownPeriod: 300
		  advanced: {horizontalPodAutoscalerConfig: {behavior: {scaleDown: {stabilizationWindowSeconds: 300,
		    policies: [{type: Pods, value: 1, periodSeconds: 60}]}}}}
	END
	if [[ $service == gateway ]]; then
		echo '  triggers: [{type: cpu, metricType: Utilization, metadata: {value: "70"}}]'
		return
	fi
	# shellcheck disable=SC2004 # it is an associative array
	echo "  fallback: {failureThreshold: 3, replicas: $((${replicas[$service]} + 1))}"
	echo '  triggers:'
	for queue in "game.$service" "game.$service.rpc"; do
		cat <<-END
			    - type: rabbitmq
			      metadata: {protocol: http, queueName: $queue, mode: QueueLength, value: "1000", excludeUnacknowledged: "false"}
			      authenticationRef: {name: garrison-rabbitmq}
		END
	done
}

k8s_job() {
	cat <<-END
		apiVersion: batch/v1
		kind: Job
		metadata:
		  name: garrison-prepare # migrations, then the topology; delete it before it is applied again
		  labels: {app.kubernetes.io/name: garrison-prepare, app.kubernetes.io/part-of: garrison}
		spec:
		  backoffLimit: 6
		  ttlSecondsAfterFinished: 3600
		  template:
		    metadata:
		      labels: {app.kubernetes.io/name: garrison-prepare, app.kubernetes.io/part-of: garrison}
		    spec:
		      restartPolicy: OnFailure
		      automountServiceAccountToken: false
		      enableServiceLinks: false
		      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
		      initContainers:
		        - name: migrate
		          image: garrison-ctl
		          args: [migrate]
		          env: [{name: DATABASE_URL_FILE, value: /run/garrison/database-url}]
		          resources: &resources {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 64Mi}}
		          securityContext: &confined {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
		          volumeMounts: &mounts [{name: secrets, mountPath: /run/garrison, readOnly: true}]
		      containers:
		        - name: topology
		          image: garrison-ctl
		          args: [topology, apply]
		          env: [{name: AMQP_URL_FILE, value: /run/garrison/amqp-url}]
		          resources: *resources
		          securityContext: *confined
		          volumeMounts: *mounts
		      volumes:
		        - name: secrets
		          secret: {secretName: garrison-operator, defaultMode: $k8s_volume_mode}
		---
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: garrison-prepare}
		spec:
		  podSelector: {matchLabels: {app.kubernetes.io/name: garrison-prepare}}
		  policyTypes: [Ingress, Egress]
		  egress:
		    - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}]
		      ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
	END
	k8s_egress rabbitmq 5672
	k8s_egress postgres 5432
}

k8s_base() {
	local service
	for service in "${services[@]}"; do
		k8s_service "$service" | write "k8s/base/$service.yaml"
		k8s_scaler "$service" | write "k8s/keda/$service.yaml"
	done
	k8s_job | write k8s/base/prepare.yaml
	{
		cat <<-'END'
			apiVersion: kustomize.config.k8s.io/v1beta1
			kind: Kustomization
			namespace: garrison
			configMapGenerator:
			  - name: garrison-settings
			    literals: ["LOG_LEVEL=info", "SHUTDOWN_GRACE=25s"]
			resources:
			  - prepare.yaml
		END
		printf '  - %s.yaml\n' "${services[@]}"
	} | write k8s/base/kustomization.yaml
	{
		cat <<-'END'
			apiVersion: kustomize.config.k8s.io/v1alpha1
			kind: Component
			resources:
			  - authentication.yaml
		END
		printf '  - %s.yaml\n' "${services[@]}"
	} | write k8s/keda/kustomization.yaml
	write k8s/keda/authentication.yaml <<-'END'
		apiVersion: keda.sh/v1alpha1
		kind: TriggerAuthentication
		metadata: {name: garrison-rabbitmq}
		spec:
		  secretTargetRef: [{parameter: host, name: garrison-operator, key: rabbitmq-api-url}]
	END
}

# On one machine (kind, minikube): servers beside the fleet, one user for all, one replica of each.
k8s_local() {
	local service
	cat <<-'END'
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		namespace: garrison
		resources: [../../base, namespace.yaml, servers.yaml]
		generatorOptions: {disableNameSuffixHash: true}
		secretGenerator:
		  - name: garrison-operator
		    literals: &urls
		      - amqp-url=amqp://garrison:local@rabbitmq:5672/
		      - redis-url=redis://redis:6379/0
		      - database-url=postgresql://garrison:local@postgres:5432/garrison
		      - service-token=local
	END
	for service in "${services[@]}"; do
		printf '  - name: garrison-%s\n    literals: *urls\n' "$service"
	done
	echo 'replicas:'
	printf '  - {name: garrison-%s, count: 1}\n' "${services[@]}"
}

k8s_production() {
	local service
	cat <<-'END'
		# Before it is applied: the namespace's secrets (docs/deploy.md), KEDA, and the images' registry and version below.
		apiVersion: kustomize.config.k8s.io/v1beta1
		kind: Kustomization
		namespace: garrison
		resources: [../../base, namespace.yaml, default-deny.yaml, servers-elsewhere.yaml]
		components: [../../keda]
		images:
	END
	for service in "${services[@]}" ctl; do
		echo "  - {name: garrison-$service, newName: registry.example.com/garrison/$service, newTag: latest}"
	done
	# KEDA sets the number.
	cat <<-'END'
		patches:
		  - target: {kind: Deployment}
		    patch: '[{"op": "remove", "path": "/spec/replicas"}]'
	END
}

k8s_base
k8s_local | write k8s/overlays/local/kustomization.yaml
k8s_production | write k8s/overlays/production/kustomization.yaml

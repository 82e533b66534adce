# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/watch/: what Prometheus scrapes, and an alarm for each service of which nothing answers.

scrape_config() {
	cat <<-'END'
		global: {scrape_interval: 15s, evaluation_interval: 15s}
		rule_files: [rules/*.yml]
		scrape_configs:
		  # Every replica that a service's name stands for: compose's network, or headless services elsewhere.
		  - job_name: garrison
		    honor_labels: true # what tells its service itself keeps it
		    dns_sd_configs:
		      - type: A
		        port: 9100
		        refresh_interval: 10s
	END
	printf '        names: [%s' "${services[0]}"
	printf ', %s' "${services[@]:1}"
	echo ']'
	cat <<-'END'
		    relabel_configs:
		      - {source_labels: [__meta_dns_name], target_label: service}
		  # Units of systemd: ADMIN_ADDR is 127.0.0.1:PORT of the service and the replica's number.
		  - job_name: garrison-units
		    honor_labels: true
		    relabel_configs:
		      - {target_label: job, replacement: garrison}
		    file_sd_configs: [{files: [targets/*.json]}]
		  # The broker's own figures, a queue each: enable rabbitmq_prometheus.
		  - job_name: rabbitmq
		    metrics_path: /metrics/detailed
		    params: {family: [queue_coarse_metrics, queue_consumer_count]}
		    static_configs: [{targets: ["rabbitmq:15692"]}]
	END
}

absence_rules() {
	local service
	printf 'groups:\n  - name: garrison-absent\n    rules:\n'
	for service in "${services[@]}"; do
		cat <<-END
			      - alert: GarrisonServiceAbsent
			        expr: absent(up{job="garrison", service="$service"} == 1)
			        for: 1m
			        labels: {severity: page, service: $service}
			        annotations: {summary: "No replica of $service answers"}
		END
	done
}

scrape_config | write watch/prometheus.yml
absence_rules | write watch/rules/absent.yml

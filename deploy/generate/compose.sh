# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/compose.yaml: servers, a one-shot each for migrations, rights and topology, every service.

compose_service() {
	local service=$1 url
	cat <<-END

		  $service:
		    <<: *worker
		    image: garrison-$service:\${GARRISON_VERSION:-latest}
		    build: {<<: *build, target: $service}
		    deploy:
		      replicas: ${replicas[$service]}
		      resources: {limits: {cpus: "1.0", memory: ${memory[$service]%i}}}
		    environment:
		      <<: *settings
	END
	for url in $(urls_of "$service"); do
		echo "      ${url^^}_URL_FILE: /run/secrets/$service-$url-url"
	done
	if [[ $service == gateway ]]; then
		echo '      SERVICE_TOKEN_FILE: /run/secrets/service-token'
	fi
	printf '    secrets: [%s]\n' "$(secrets_of "$service")"
	if [[ $service == gateway ]]; then
		echo "    ports: [\"\${GATEWAY_PORTS:-127.0.0.1:8080-$((8080 + ${most[$service]} - 1))}:8080\"]"
	fi
}

secrets_of() {
	local url all=()
	for url in $(urls_of "$1"); do
		all+=("$1-$url-url")
	done
	[[ $1 != gateway ]] || all+=(service-token)
	printf '%s' "${all[0]}"
	printf ', %s' "${all[@]:1}"
}

secret_files() {
	local service url
	for service in "${services[@]}"; do
		for url in $(urls_of "$service"); do
			echo "$service-$url-url"
		done
	done
	printf '%s\n' service-token operator-amqp-url operator-database-url owner-password rabbitmq-definitions.json redis.acl \
		postgresql-passwords.sql
}

compose_head() {
	cat <<-END
		#
		#   deploy/secrets.sh                              once: passwords, and each service's users in deploy/secrets/
		#   docker compose -f deploy/compose.yaml up -d --build
		#   docker compose -f deploy/compose.yaml up -d --scale tick=3
		name: garrison

		x-build: &build
		  context: ..
		  dockerfile: deploy/Dockerfile
		  args:
		    VERSION: \${GARRISON_VERSION:-unknown}
		    REVISION: \${GARRISON_REVISION:-unknown}
		    SOURCE_DATE_EPOCH: \${SOURCE_DATE_EPOCH:-0}

		x-confined: &confined
		  read_only: true
		  cap_drop: [ALL]
		  security_opt: ["no-new-privileges:true"]
		  user: "65532:65532"
		  pids_limit: 512

		x-settings: &settings
		  ADMIN_ADDR: 0.0.0.0:9100
		  LOG_LEVEL: \${LOG_LEVEL:-info}
		  SHUTDOWN_GRACE: \${SHUTDOWN_GRACE:-25s}
		  TICK_INTERVAL: \${TICK_INTERVAL:-6m}

		x-worker: &worker
		  <<: *confined
		  restart: unless-stopped
		  stop_grace_period: ${stop_grace_s}s
		  logging: &logging {driver: json-file, options: {max-size: 20m, max-file: "5"}}
		  depends_on:
		    topology: {condition: service_completed_successfully}
		    rights: {condition: service_completed_successfully}
		    redis: {condition: service_healthy}

		services:
		  rabbitmq:
		    image: \${RABBITMQ_IMAGE:-rabbitmq:3.13-management}
		    hostname: rabbitmq # the node's name, and with it its data, goes by this
		    restart: unless-stopped
		    stop_grace_period: 60s
		    secrets: [{source: rabbitmq-definitions.json, target: /run/secrets/rabbitmq-definitions.json}]
		    volumes:
		      - rabbitmq:/var/lib/rabbitmq
		      - ./access/rabbitmq.conf:/etc/rabbitmq/conf.d/90-garrison.conf:ro
		    logging: *logging
		    deploy: {resources: {limits: {memory: 2G}}}
		    healthcheck:
		      test: [CMD, rabbitmq-diagnostics, -q, check_port_connectivity]
		      interval: 10s
		      timeout: 10s
		      start_period: 60s
		      retries: 6

		  redis:
		    image: \${REDIS_IMAGE:-redis:7.2}
		    restart: unless-stopped
		    stop_grace_period: 30s
		    command: [redis-server, --aclfile, /run/secrets/redis.acl, --maxmemory, 1gb, --maxmemory-policy, noeviction,
		      --appendonly, "yes", --appendfsync, everysec, --dir, /data]
		    secrets: [redis.acl]
		    volumes: [redis:/data]
		    logging: *logging
		    deploy: {resources: {limits: {memory: 2G}}}
		    healthcheck: # unauthenticated: a refusal is an answer too
		      test: [CMD-SHELL, "redis-cli ping | grep -Eq 'PONG|NOAUTH'"]
		      interval: 5s
		      timeout: 3s
		      retries: 10

		  postgres:
		    image: \${POSTGRES_IMAGE:-postgres:16}
		    restart: unless-stopped
		    stop_grace_period: 60s
		    shm_size: 256m
		    command: [postgres, -c, max_connections=300, -c, shared_buffers=512MB, -c, max_wal_size=8GB,
		      -c, checkpoint_timeout=15min, -c, wal_compression=on, -c, timezone=UTC]
		    environment: {POSTGRES_USER: garrison, POSTGRES_DB: garrison, POSTGRES_PASSWORD_FILE: /run/secrets/owner-password}
		    secrets: [owner-password]
		    volumes: [postgres:/var/lib/postgresql/data]
		    logging: *logging
		    deploy: {resources: {limits: {memory: 2G}}}
		    healthcheck:
		      test: [CMD, pg_isready, -h, 127.0.0.1, -U, garrison, -d, garrison]
		      interval: 5s
		      timeout: 3s
		      start_period: 30s
		      retries: 10

		  migrate:
		    <<: *confined
		    image: garrison-ctl:\${GARRISON_VERSION:-latest}
		    build: {<<: *build, target: ctl}
		    restart: on-failure
		    command: [migrate]
		    environment: {DATABASE_URL_FILE: /run/secrets/operator-database-url}
		    secrets: [operator-database-url]
		    depends_on: {postgres: {condition: service_healthy}}

		  rights: # every service's role in the database, with just its tables
		    image: \${POSTGRES_IMAGE:-postgres:16}
		    restart: on-failure
		    entrypoint: [sh, -c, "exec psql -qX -v ON_ERROR_STOP=1 \"\$\$(cat /run/secrets/operator-database-url)\"
		      -f /run/garrison/postgresql.sql -f /run/secrets/postgresql-passwords.sql"]
		    volumes: ["./access/postgresql.sql:/run/garrison/postgresql.sql:ro"]
		    secrets: [operator-database-url, postgresql-passwords.sql]
		    depends_on: {migrate: {condition: service_completed_successfully}}

		  topology:
		    <<: *confined
		    image: garrison-ctl:\${GARRISON_VERSION:-latest}
		    build: {<<: *build, target: ctl}
		    restart: on-failure
		    command: [topology, apply]
		    environment: {AMQP_URL_FILE: /run/secrets/operator-amqp-url}
		    secrets: [operator-amqp-url]
		    depends_on: {rabbitmq: {condition: service_healthy}}
	END
}

{
	compose_head
	for service in "${services[@]}"; do
		compose_service "$service"
	done
	cat <<-'END'

		volumes:
		  rabbitmq:
		  redis:
		  postgres:

		secrets:
	END
	for file in $(secret_files); do
		echo "  $file: {file: ./secrets/$file}"
	done
} | write compose.yaml
cat >"$out/access/rabbitmq.conf" <<-'END'
	# Users, their rights and the vhost come from the definitions; the user "guest" is not made where there are some.
	load_definitions = /run/secrets/rabbitmq-definitions.json
	disk_free_limit.absolute = 1GB
END

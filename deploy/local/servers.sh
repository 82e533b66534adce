#!/bin/bash
# Private RabbitMQ, Redis and PostgreSQL in one folder, on loopback, on ports of their own.
#
#   servers.sh start DIR [rabbitmq|redis|postgres ...]    start what is not up yet (default: all three); DIR/env tells
#                                                         their addresses, DIR/ready is there while they are up
#   servers.sh stop DIR                                   stop them; their data stays in DIR
#   servers.sh remove DIR                                 stop them and delete DIR
#   servers.sh hold DIR                                   start, and remove all when standard input ends
#   servers.sh kill|pause|resume DIR SERVER               for tests of failure: SIGKILL, SIGSTOP, SIGCONT
#
# No system service is used and no system configuration is read or written. Several folders work side by side.
set -euo pipefail

usage() {
	sed -n '2,/^$/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 64
}

(($# >= 2)) || usage
verb=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd -P)
shift 2
# shellcheck source=deploy/local/processes.sh
. "$(dirname "$(readlink -f "$0")")/processes.sh"

# Ports: a block of ten below the range that the kernel hands out, chosen when the folder is new and kept after that, so
# that addresses in other terminals stay valid. -----------------------------------------------------------------------

choose_ports() {
	if [[ -s $dir/ports ]]; then
		base=$(<"$dir/ports")
	else
		base=$(free_block 10)
		echo "$base" >"$dir/ports"
	fi
	amqp_port=$base api_port=$((base + 1)) dist_port=$((base + 2)) epmd_port=$((base + 3))
	redis_port=$((base + 4)) postgres_port=$((base + 5))
}

# Processes ---------------------------------------------------------------------------------------------------------

postgres_pid() { pid_of "$(postgres_data)/postmaster.pid" "$(postgres_data)"; }
redis_pid() { pid_of "$dir/redis/pid" "$dir/redis"; }
rabbitmq_pid() { pid_of "$dir/rabbitmq/pid" "$dir/rabbitmq"; }
epmd_pid() { pid_of "$dir/rabbitmq/epmd.pid" "$dir/rabbitmq"; }

# PostgreSQL, in a folder which the user it runs as can reach. ---------------------------------------------------------

postgres_data() {
	if [[ -s $dir/postgres.path ]]; then
		cat "$dir/postgres.path"
	else
		echo "$dir/postgres"
	fi
}

make_postgres_folder() {
	if ((EUID == 0)) && ! as_postgres test -x "$dir"; then
		mktemp -d /var/tmp/garrison-postgres-XXXXXX >"$dir/postgres.path"
		echo "the user postgres cannot enter $dir: the database is in $(postgres_data)"
	fi
	mkdir -p "$(postgres_data)"
	chmod 700 "$(postgres_data)"
	if ((EUID == 0)); then
		chown postgres: "$(postgres_data)"
	fi
}

create_postgres() {
	as_postgres $pg_bin/initdb -D "$(postgres_data)" -U garrison --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
		--no-sync --no-instructions >"$dir/log/initdb.log" 2>&1 ||
		fail "initdb failed: $(tail -n 5 "$dir/log/initdb.log")"
	as_postgres tee "$(postgres_data)/postgresql.conf" >/dev/null <<-END
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		max_connections = 200
		shared_buffers = 1GB
		max_wal_size = 8GB
		checkpoint_timeout = 15min
		wal_compression = lz4
		timezone = 'UTC'
		log_timezone = 'UTC'
		logging_collector = on
		log_directory = 'log'
		log_filename = 'postgres.log'
		log_min_messages = warning
	END
}

start_postgres() {
	local data fresh=
	[[ -e $(postgres_data)/postgresql.conf ]] || fresh=yes
	if [[ $fresh ]]; then
		make_postgres_folder
		create_postgres
	fi
	data=$(postgres_data)
	if ! postgres_pid >/dev/null; then
		clear_after_crash "$data"
		run_postgres "$data" "$postgres_port" "$dir/log/pg_ctl.log" || fail "PostgreSQL does not start: $(tail -n 5 "$dir/log/pg_ctl.log" "$data"/log/* 2>/dev/null)"
	fi
	if [[ $fresh ]]; then
		$pg_bin/createdb -h 127.0.0.1 -p "$postgres_port" -U garrison garrison
	fi
}

stop_postgres() {
	local pid
	if pid=$(postgres_pid); then
		end_process "$pid" INT # the fast shutdown
	fi
}

# Redis ---------------------------------------------------------------------------------------------------------------

start_redis() {
	if ! redis_pid >/dev/null; then
		mkdir -p "$dir/redis"
		rm -f "$dir/redis/pid" # a killed server's would be taken for the new one's
		touch "$dir/redis/users.acl" # where ACL SAVE keeps users across restarts
		redis-server --daemonize yes --pidfile "$dir/redis/pid" --dir "$dir/redis" --logfile "$dir/log/redis.log" \
			--bind 127.0.0.1 --port "$redis_port" --databases 512 --maxmemory-policy noeviction \
			--appendonly yes --appendfsync everysec --save '' --aclfile "$dir/redis/users.acl" >/dev/null ||
			fail "Redis does not start: $(tail -n 5 "$dir/log/redis.log")"
		local i
		for ((i = 0; i < 50; i++)); do
			[[ -s $dir/redis/pid ]] && break
			sleep 0.1
		done
	fi
	wait_until_up redis redis_pid "$dir/log/redis.log" redis-cli -p "$redis_port" -e ping
}

stop_redis() {
	local pid
	if pid=$(redis_pid); then
		end_process "$pid" TERM
	fi
}

# RabbitMQ -------------------------------------------------------------------------------------------------------

configure_rabbitmq() {
	cat >"$dir/rabbitmq/rabbitmq.conf" <<-END
		listeners.tcp.1 = 127.0.0.1:$amqp_port
		management.tcp.ip = 127.0.0.1
		management.tcp.port = $api_port
		log.file.level = warning
		disk_free_limit.absolute = 50MB
		raft.wal_max_size_bytes = 67108864
	END
	echo '[rabbitmq_management].' >"$dir/rabbitmq/enabled_plugins"
	echo '[].' >"$dir/rabbitmq/advanced.config"
}

rabbitmq_is_up() {
	! port_is_free "$amqp_port" &&
		curl -sf -m 5 "http://guest:guest@127.0.0.1:$api_port/api/vhosts"
}

start_rabbitmq() {
	mkdir -p "$dir/rabbitmq"
	if ! rabbitmq_pid >/dev/null; then
		configure_rabbitmq
		epmd_pid >/dev/null || run_epmd "$dir/rabbitmq" "$epmd_port" "$dir/log/epmd.log"
		run_broker "$dir/rabbitmq" "garrison-$base@localhost" "$dist_port" "$epmd_port" "$dir/rabbitmq" "$dir/log"
	fi
	wait_until_up rabbitmq rabbitmq_pid "$dir/log/rabbitmq.log" rabbitmq_is_up
}

stop_rabbitmq() { # a clean stop takes it 7 to 10 s
	local pid
	if pid=$(rabbitmq_pid); then
		end_process "$pid" "$1"
	fi
	if pid=$(epmd_pid); then
		end_process "$pid" TERM
	fi
}

# All of them ---------------------------------------------------------------------------------------------------------

write_env() {
	cat >"$dir/env" <<-END
		export AMQP_URL=amqp://guest:guest@127.0.0.1:$amqp_port/
		export RABBITMQ_API_URL=http://guest:guest@127.0.0.1:$api_port/
		export REDIS_URL=redis://127.0.0.1:$redis_port/0
		export DATABASE_URL=postgresql://garrison@127.0.0.1:$postgres_port/garrison
	END
}

start() {
	local server pids=() began=$SECONDS
	[[ $# -gt 0 ]] || set -- rabbitmq redis postgres
	mkdir -p "$dir/log"
	choose_ports
	write_env
	for server; do
		"start_$server" &
		pids+=($!)
	done
	for server in "${pids[@]}"; do
		wait "$server" || fail "the servers did not start in $dir"
	done
	touch "$dir/ready"
	echo "servers are up in $dir ($((SECONDS - began)) s): $*"
}

stop() { # stop [SIGNAL for RabbitMQ]
	rm -f "$dir/ready"
	stop_rabbitmq "${1:-TERM}" &
	stop_redis &
	stop_postgres &
	wait
}

remove() {
	stop KILL # what it would save is deleted anyway
	rm -rf "$(postgres_data)" "$dir"
}

case $verb in
start) start "$@" ;;
stop) stop ;;
remove) remove ;;
hold)
	trap remove EXIT
	start
	cat >/dev/null
	;;
kill | pause | resume)
	declare -A signal=([kill]=KILL [pause]=STOP [resume]=CONT)
	pid=$("${1:?which server}_pid") || fail "$1 is not running in $dir"
	mapfile -t children < <(pgrep -P "$pid")
	kill -s "${signal[$verb]}" "$pid"
	if [[ $verb == kill ]]; then
		# PostgreSQL's processes, one a connection, see it a moment later, and answer until then.
		for ((i = 0; i < 50; i++)); do
			kill -0 "${children[@]}" 2>/dev/null || break
			sleep 0.02
		done
	fi
	;;
*) usage ;;
esac

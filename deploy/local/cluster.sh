#!/bin/bash
# Servers as they are where one machine is not enough, all of them on loopback: three RabbitMQ nodes in one cluster; a Redis primary and
# a replica under three Sentinels; PostgreSQL and a synchronous standby. docs/cluster.md tells what a real one needs besides.
#
#   cluster.sh start DIR [rabbitmq|redis|postgres ...]   start what is not up yet (default: all three); DIR/env tells the addresses,
#                                                        DIR/ready is there while they are up
#   cluster.sh stop DIR                                  stop them; their data stays in DIR
#   cluster.sh remove DIR                                stop them and delete DIR
#   cluster.sh hold DIR [rabbitmq|redis|postgres ...]    start, and remove all when standard input ends
#   cluster.sh kill|pause|resume DIR MEMBER              SIGKILL, SIGSTOP, SIGCONT to all processes of one: rabbitmq1 to rabbitmq3,
#                                                        redis1, redis2, sentinel1 to sentinel3, postgres1, postgres2
#   cluster.sh up DIR MEMBER                             start a killed one again, as a member of what there is
#   cluster.sh promote DIR                               make the PostgreSQL standby the primary (Sentinel promotes by itself)
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
wait_s=150 # three Erlang machines that start at once

brokers=(rabbitmq1 rabbitmq2 rabbitmq3)
redises=(redis1 redis2)
sentinels=(sentinel1 sentinel2 sentinel3)
databases=(postgres1 postgres2)
members=("${brokers[@]}" "${redises[@]}" "${sentinels[@]}" "${databases[@]}")

# Ports ---------------------------------------------------------------------------------------------------------------

choose_ports() {
	local i member
	if [[ -s $dir/ports ]]; then
		base=$(<"$dir/ports")
	else
		base=$(free_block 20)
		echo "$base" >"$dir/ports"
	fi
	epmd_port=$base
	declare -gA port=() api_port=() dist_port=()
	for i in 1 2 3; do
		port[rabbitmq$i]=$((base + i)) api_port[rabbitmq$i]=$((base + 3 + i)) dist_port[rabbitmq$i]=$((base + 6 + i))
	done
	i=10
	for member in "${redises[@]}" "${sentinels[@]}" "${databases[@]}"; do
		port[$member]=$((base + i))
		i=$((i + 1))
	done
}

# Members: each works in a folder of its own ---------------------------------------------------------------------------

folder_of() {
	if [[ $1 == postgres* && -s $dir/postgres.path ]]; then
		echo "$(<"$dir/postgres.path")/$1"
	else
		echo "$dir/$1"
	fi
}

member_pid() {
	local folder file=pid
	folder=$(folder_of "$1")
	[[ $1 == postgres* ]] && file=postmaster.pid
	pid_of "$folder/$file" "$folder"
}

stop_member() { # stop_member MEMBER SIGNAL
	local pid
	if pid=$(member_pid "$1"); then
		signal_all "$1" CONT
		[[ $2 != KILL ]] || signal_all "$1" KILL
		end_process "$pid" "$2"
	fi
}

# As if the machine did it: all of a member's processes at once, PostgreSQL's children too.
signal_all() {
	local folder process
	folder=$(folder_of "$1")
	while read -r process; do
		process=${process#/proc/}
		kill -s "$2" "${process%/cwd}" 2>/dev/null || true
	done < <(find /proc/[0-9]*/cwd -maxdepth 0 -lname "$folder" 2>/dev/null || true)
}

# RabbitMQ ------------------------------------------------------------------------------------------------------------

node_of() { echo "garrison-$base-${1#rabbitmq}@localhost"; }

configure_broker() {
	local folder=$dir/$1 i
	cat >"$folder/rabbitmq.conf" <<-END
		listeners.tcp.1 = 127.0.0.1:${port[$1]}
		management.tcp.ip = 127.0.0.1
		management.tcp.port = ${api_port[$1]}
		log.file.level = warning
		disk_free_limit.absolute = 50MB
		raft.wal_max_size_bytes = 67108864
		cluster_partition_handling = pause_minority
		queue_leader_locator = balanced
		cluster_formation.peer_discovery_backend = classic_config
		$(for i in 1 2 3; do echo "cluster_formation.classic_config.nodes.$i = $(node_of "rabbitmq$i")"; done)
	END
	echo '[rabbitmq_management].' >"$folder/enabled_plugins"
	echo '[].' >"$folder/advanced.config"
}

make_cookie() { # the same for all nodes, and nobody else's
	[[ -s $dir/.erlang.cookie ]] && return
	od -An -N15 -tx1 /dev/urandom | tr -d ' \n' >"$dir/.erlang.cookie"
	chmod 400 "$dir/.erlang.cookie"
}

broker_is_up() { # listening, and of a cluster of three
	! port_is_free "${port[$1]}" &&
		[[ $(curl -sf -m 5 "http://guest:guest@127.0.0.1:${api_port[$1]}/api/nodes" | grep -o '"running":true' | wc -l) -ge $2 ]]
}

start_broker() { # start_broker MEMBER [NODES]: until it and so many nodes in all run
	if ! member_pid "$1" >/dev/null; then
		mkdir -p "$dir/$1" "$dir/log/$1"
		configure_broker "$1"
		run_broker "$dir/$1" "$(node_of "$1")" "${dist_port[$1]}" "$epmd_port" "$dir" "$dir/log"
	fi
	wait_until_up "$1" "member_pid $1" "$dir/log/$1.log" broker_is_up "$1" "$2"
}

start_rabbitmq() {
	local member pids=()
	make_cookie
	mkdir -p "$dir/epmd"
	pid_of "$dir/epmd/epmd.pid" "$dir/epmd" >/dev/null || (run_epmd "$dir/epmd" "$epmd_port" "$dir/log/epmd.log")
	for member in "${brokers[@]}"; do
		start_broker "$member" 3 &
		pids+=($!)
	done
	for member in "${pids[@]}"; do
		wait "$member" || return 1
	done
}

stop_rabbitmq() { # stop_rabbitmq SIGNAL
	local member pid pids=()
	for member in "${brokers[@]}"; do
		stop_member "$member" "$1" &
		pids+=($!)
	done
	wait "${pids[@]}"
	if pid=$(pid_of "$dir/epmd/epmd.pid" "$dir/epmd"); then
		end_process "$pid" TERM
	fi
}

# Redis under Sentinel: both keep in their configuration files who the primary is --------------------------------------

configure_redis() {
	local folder=$dir/$1
	[[ ! -e $folder/redis.conf ]] || return 0
	cat >"$folder/redis.conf" <<-END
		bind 127.0.0.1
		port ${port[$1]}
		dir $folder
		pidfile $folder/pid
		logfile $dir/log/$1.log
		daemonize yes
		databases 512
		maxmemory-policy noeviction
		appendonly yes
		appendfsync everysec
		save ""
		repl-diskless-sync-delay 0
	END
	[[ $1 == redis1 ]] || echo "replicaof 127.0.0.1 ${port[redis1]}" >>"$folder/redis.conf"
}

configure_sentinel() {
	local folder=$dir/$1
	[[ ! -e $folder/redis.conf ]] || return 0
	cat >"$folder/redis.conf" <<-END
		bind 127.0.0.1
		port ${port[$1]}
		dir $folder
		pidfile $folder/pid
		logfile $dir/log/$1.log
		daemonize yes
		sentinel monitor garrison 127.0.0.1 ${port[redis1]} 2
		sentinel down-after-milliseconds garrison 1500
		sentinel failover-timeout garrison 6000
	END
}

run_redis() { # run_redis MEMBER WORD...
	local member=$1 i
	shift
	if ! member_pid "$member" >/dev/null; then
		mkdir -p "$dir/$member"
		"configure_${member%[0-9]}" "$member"
		rm -f "$dir/$member/pid" # a killed one's would be taken for the new one's
		redis-server "$dir/$member/redis.conf" "$@" >/dev/null || fail "$member does not start: $(tail -n 5 "$dir/log/$member.log")"
		for ((i = 0; i < 50; i++)); do
			[[ -s $dir/$member/pid ]] && break
			sleep 0.1
		done
	fi
	wait_until_up "$member" "member_pid $member" "$dir/log/$member.log" redis-cli -p "${port[$member]}" -e ping
}

# Sentinel promotes only a replica it has heard of, and only together with the others.
sentinel_knows_all() {
	local said
	said=$(redis-cli -p "${port[$1]}" sentinel master garrison)
	[[ $said == *$'num-slaves\n1'* && $said == *$'num-other-sentinels\n2'* ]]
}

replica_follows() { [[ $(redis-cli -p "${port[redis1]}" info replication) == *connected_slaves:1*state=online* ]]; }

start_redis() {
	local member fresh=
	[[ -e $dir/redis1/redis.conf ]] || fresh=yes
	for member in "${redises[@]}"; do
		run_redis "$member" || return 1
	done
	if [[ $fresh ]]; then
		wait_until_up redis2 "member_pid redis2" "$dir/log/redis2.log" replica_follows || return 1
	fi
	for member in "${sentinels[@]}"; do
		run_redis "$member" --sentinel || return 1
	done
	for member in "${sentinels[@]}"; do
		wait_until_up "$member" "member_pid $member" "$dir/log/$member.log" sentinel_knows_all "$member" || return 1
	done
}

stop_redis() { # stop_redis SIGNAL
	local member
	for member in "${sentinels[@]}" "${redises[@]}"; do
		stop_member "$member" "$1" &
	done
	wait
}

# PostgreSQL: DIR/postgres.primary names the member that is the primary -------------------------------------------------

primary() { cat "$dir/postgres.primary" 2>/dev/null || echo postgres1; }
standby() { if [[ $(primary) == postgres1 ]]; then echo postgres2; else echo postgres1; fi; }
uri() { echo "postgresql://garrison@127.0.0.1:${port[$1]}/${2:-postgres}"; }
sql() { psql -qXAt -v ON_ERROR_STOP=1 "$(uri "$(primary)")" -c "$1"; }

make_postgres_folder() {
	local folder
	if ((EUID == 0)) && ! as_postgres test -x "$dir" && [[ ! -s $dir/postgres.path ]]; then
		mktemp -d /var/tmp/garrison-postgres-XXXXXX >"$dir/postgres.path"
		((EUID != 0)) || chown postgres: "$(<"$dir/postgres.path")"
		echo "the user postgres cannot enter $dir: the databases are in $(<"$dir/postgres.path")"
	fi
	folder=$(folder_of "$1")
	rm -rf "$folder"
	mkdir -m 700 "$folder"
	((EUID != 0)) || chown postgres: "$folder"
}

create_primary() {
	local data
	make_postgres_folder postgres1
	data=$(folder_of postgres1)
	as_postgres $pg_bin/initdb -D "$data" -U garrison --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions \
		>"$dir/log/initdb.log" 2>&1 || fail "initdb failed: $(tail -n 5 "$dir/log/initdb.log")"
	as_postgres tee "$data/postgresql.conf" >/dev/null <<-END
		listen_addresses = '127.0.0.1'
		unix_socket_directories = ''
		max_connections = 200
		shared_buffers = 256MB
		max_wal_size = 4GB
		checkpoint_timeout = 15min
		wal_keep_size = 256MB
		synchronous_commit = on
		timezone = 'UTC'
		log_timezone = 'UTC'
		logging_collector = on
		log_directory = 'log'
		log_filename = 'postgres.log'
		log_min_messages = warning
	END
	run_database postgres1
	$pg_bin/createdb -h 127.0.0.1 -p "${port[postgres1]}" -U garrison garrison
}

run_database() {
	local data
	data=$(folder_of "$1")
	member_pid "$1" >/dev/null && return
	clear_after_crash "$data"
	run_postgres "$data" "${port[$1]}" "$dir/log/$1.log" ||
		fail "$1 does not start: $(tail -n 5 "$dir/log/$1.log" "$data"/log/* 2>/dev/null)"
}

# A copy of the primary, which then waits with every commit until this one has it on disk.
create_standby() {
	local data member
	member=$(standby)
	make_postgres_folder "$member"
	data=$(folder_of "$member")
	as_postgres $pg_bin/pg_basebackup -D "$data" -R -X stream -c fast --no-sync \
		-d "postgresql://garrison@127.0.0.1:${port[$(primary)]}/?application_name=$member" >"$dir/log/basebackup.log" 2>&1 ||
		fail "pg_basebackup failed: $(tail -n 5 "$dir/log/basebackup.log")"
	# A primary's own, which came with the copy: promoted, it would wait for a standby that it has not got yet.
	as_postgres sed -i '/^synchronous_standby_names/d' "$data/postgresql.auto.conf"
}

standby_is_synchronous() { [[ $(sql "SELECT sync_state FROM pg_stat_replication") == sync ]]; }

follow() { # the standby runs, and the primary waits for it
	local member
	member=$(standby)
	[[ -e $(folder_of "$member")/standby.signal ]] || create_standby
	run_database "$member"
	sql "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 ($member)'"
	sql 'SELECT pg_reload_conf()' >/dev/null
	wait_until_up "$member" "member_pid $member" "$dir/log/$member.log" standby_is_synchronous
}

start_postgres() {
	[[ -e $(folder_of postgres1)/PG_VERSION ]] || create_primary
	run_database "$(primary)"
	follow
}

promote() {
	local member
	member=$(standby)
	as_postgres $pg_bin/pg_ctl promote -s -w -D "$(folder_of "$member")" >"$dir/log/promote.log" 2>&1 ||
		fail "$member cannot be promoted: $(tail -n 5 "$dir/log/promote.log")"
	echo "$member" >"$dir/postgres.primary"
}

stop_postgres() { # stop_postgres SIGNAL; the primary first: what it says last, the standby hears
	stop_member "$(primary)" "$1"
	stop_member "$(standby)" "$1"
}

# All of them ---------------------------------------------------------------------------------------------------------

write_env() {
	cat >"$dir/env" <<-END
		export AMQP_URL=amqp://guest:guest@127.0.0.1:${port[rabbitmq1]}/,amqp://guest:guest@127.0.0.1:${port[rabbitmq2]}/,amqp://guest:guest@127.0.0.1:${port[rabbitmq3]}/
		export RABBITMQ_API_URL=http://guest:guest@127.0.0.1:${api_port[rabbitmq1]}/
		export REDIS_URL=redis+sentinel://127.0.0.1:${port[sentinel1]},127.0.0.1:${port[sentinel2]},127.0.0.1:${port[sentinel3]}/garrison/0
		export DATABASE_URL=postgresql://garrison@127.0.0.1:${port[postgres1]},127.0.0.1:${port[postgres2]}/garrison?target_session_attrs=read-write
	END
}

start() {
	local server pids=() began=$SECONDS
	[[ $# -gt 0 ]] || set -- rabbitmq redis postgres
	mkdir -p "$dir/log"
	write_env
	for server; do
		"start_$server" &
		pids+=($!)
	done
	for server in "${pids[@]}"; do
		wait "$server" || fail "the cluster did not start in $dir"
	done
	touch "$dir/ready"
	echo "the cluster is up in $dir ($((SECONDS - began)) s): $*"
}

stop() { # stop [SIGNAL], else what each takes for a clean end
	rm -f "$dir/ready"
	stop_rabbitmq "${1:-TERM}" &
	stop_redis "${1:-TERM}" &
	stop_postgres "${1:-INT}" &
	wait
}

remove() {
	stop KILL # what it would save is deleted anyway
	[[ ! -s $dir/postgres.path ]] || rm -rf "$(<"$dir/postgres.path")"
	rm -rf "$dir"
}

up() {
	case $1 in
	rabbitmq*) start_broker "$1" 3 ;;
	redis*) run_redis "$1" ;;
	sentinel*) run_redis "$1" --sentinel ;;
	"$(primary)") run_database "$1" ;;
	postgres*) follow ;;
	esac
}

is_member() { [[ " ${members[*]} " == *" $1 "* ]] || usage; }

choose_ports
case $verb in
start) start "$@" ;;
stop) stop ;;
remove) remove ;;
hold)
	trap remove EXIT
	start "$@"
	cat >/dev/null
	;;
kill | pause | resume)
	declare -A signal=([kill]=KILL [pause]=STOP [resume]=CONT)
	is_member "${1:-}"
	member_pid "$1" >/dev/null || fail "$1 is not running in $dir"
	signal_all "$1" "${signal[$verb]}"
	;;
up)
	is_member "${1:-}"
	up "$1"
	;;
promote) promote ;;
*) usage ;;
esac

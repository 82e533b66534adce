# shellcheck shell=bash
# What servers.sh and cluster.sh share: ports, processes in folders, and how a broker and PostgreSQL are run by hand.
# Sourced; nothing here looks at the caller's variables.

pg_bin=/usr/lib/postgresql/15/bin
wait_s=60

fail() {
	echo "$*" >&2
	exit 69
}

# Ports: a block below the range that the kernel hands out. -------------------------------------------------------------

port_is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

block_is_free() {
	local port
	for ((port = $1; port < $1 + $2; port++)); do
		port_is_free "$port" || return 1
	done
}

free_block() { # free_block SIZE: the first port of such a block
	local first=$((20000 + 10 * (RANDOM % 1200)))
	until block_is_free "$first" "$1"; do
		first=$((20000 + 10 * (RANDOM % 1200)))
	done
	echo "$first"
}

# Processes: a pid in a pid file is ours only while that process works in our folder. ---------------------------------

pid_of() { # pid_of PIDFILE FOLDER
	local pid
	read -r pid _ 2>/dev/null <"$1" && [[ $(readlink "/proc/$pid/cwd") == "$2" ]] && echo "$pid"
}

end_process() { # end_process PID SIGNAL: the signal, then SIGKILL when 20 s were not enough
	local i
	kill -s "$2" "$1" 2>/dev/null || return 0
	for ((i = 0; i < 200; i++)); do
		kill -0 "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	echo "process $1 does not stop: killing it" >&2
	kill -s KILL "$1" 2>/dev/null || true
}

# wait_until_up NAME ALIVE LOG COMMAND...: until the command succeeds, or ALIVE (words of a command) says that the process is gone
wait_until_up() {
	local name=$1 alive log=$3 i
	read -ra alive <<<"$2"
	shift 3
	for ((i = 0; i < wait_s * 10; i++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		# Gone for good, and not just between two programs of its start.
		if ! "${alive[@]}" >/dev/null && sleep 1 && ! "${alive[@]}" >/dev/null; then
			break
		fi
		sleep 0.1
	done
	echo "$name does not come up; the end of $log:" >&2
	tail -n 20 "$log" >&2 || true
	return 1
}

# PostgreSQL refuses root, so for root it runs as the user of Debian's package. -------------------------------------------

as_postgres() {
	if ((EUID == 0)); then
		(cd / && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
	else
		(cd / && "$@")
	fi
}

# A killed server leaves its lock file, and for a moment its children. PostgreSQL takes a zombie's pid for a live server's.
clear_after_crash() { # clear_after_crash DATA
	local i
	for ((i = 0; i < 100; i++)); do
		if [[ ! $(find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1" 2>/dev/null) ]]; then
			rm -f "$1/postmaster.pid"
			return
		fi
		sleep 0.1
	done
}

run_postgres() { # run_postgres DATA PORT LOG; a killed one's children hold its memory for a moment yet
	local i
	for ((i = 0; i < 10; i++)); do
		if as_postgres $pg_bin/pg_ctl start -s -w -t $wait_s -D "$1" -o "-p $2" >"$3" 2>&1 </dev/null; then
			return 0
		fi
		sleep 0.5
	done
	return 1
}

# RabbitMQ, with an epmd of its own, so that none is shared with anybody or left behind. ----------------------------------

run_epmd() { # run_epmd FOLDER PORT LOG
	cd "$1" || return
	setsid epmd -port "$2" -address 127.0.0.1 >"$3" 2>&1 </dev/null &
	echo $! >epmd.pid
}

# run_broker FOLDER NODE DIST_PORT EPMD_PORT HOME LOG_FOLDER: HOME holds the cookie.
run_broker() {
	cd "$1" || return
	# "Under systemd" means: become the broker instead of staying its parent.
	env -u NOTIFY_SOCKET RUNNING_UNDER_SYSTEMD=true HOME="$5" \
		ERL_EPMD_PORT="$4" ERL_EPMD_ADDRESS=127.0.0.1 \
		RABBITMQ_NODENAME="$2" RABBITMQ_DIST_PORT="$3" \
		RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$1/rabbitmq.conf" \
		RABBITMQ_ADVANCED_CONFIG_FILE="$1/advanced.config" \
		RABBITMQ_ENABLED_PLUGINS_FILE="$1/enabled_plugins" \
		RABBITMQ_MNESIA_BASE="$1/mnesia" RABBITMQ_LOG_BASE="$6/rabbitmq" \
		RABBITMQ_PID_FILE="$1/pid.broker" RABBITMQ_GENERATED_CONFIG_DIR="$1/generated" \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none +swt very_high -kernel inet_dist_use_interface {127,0,0,1}" \
		setsid /usr/lib/rabbitmq/bin/rabbitmq-server >"$6/${1##*/}.log" 2>&1 </dev/null &
	echo $! >pid
}

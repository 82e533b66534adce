#!/bin/bash
# Run the whole fleet on this machine until Ctrl-C: private servers, migrations, topology, every build/bin/garrison-*.
#
# AMQP_URL, REDIS_URL and DATABASE_URL, where given, name the servers to use instead of private ones. Every other
# setting in the environment (TICK_INTERVAL=2s, LOG_LEVEL=debug, ...) reaches the workers as it is.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
stack=$root/.stack
bin=$root/build/bin
cd "$root"
mkdir -p "$stack/log"

exec 9>"$stack/lock"
if ! flock -n 9; then
	echo "another make run is using $stack" >&2
	exit 69
fi

say() { printf '%s\n' "$*" >&2; }

# The servers ---------------------------------------------------------------------------------------------------------

own_servers=()
[[ ${AMQP_URL:-} ]] || own_servers+=(rabbitmq)
[[ ${REDIS_URL:-} ]] || own_servers+=(redis)
[[ ${DATABASE_URL:-} ]] || own_servers+=(postgres)

start_servers() {
	local given_amqp=${AMQP_URL:-} given_api=${RABBITMQ_API_URL:-} given_redis=${REDIS_URL:-} given_db=${DATABASE_URL:-}
	if ((${#own_servers[@]})); then
		say "starting ${own_servers[*]} in $stack"
		deploy/local/servers.sh start "$stack" "${own_servers[@]}" 9>&- >&2
		# shellcheck source=/dev/null
		. "$stack/env"
	fi
	export AMQP_URL=${given_amqp:-$AMQP_URL} REDIS_URL=${given_redis:-$REDIS_URL} DATABASE_URL=${given_db:-$DATABASE_URL}
	if [[ $given_amqp ]]; then
		RABBITMQ_API_URL=${given_api:-http://guest:guest@127.0.0.1:15672/}
	fi
	export RABBITMQ_API_URL
}

write_env() {
	rm -f "$stack/env" # it may hold a token: made anew, for its owner only
	(
		umask 077
		declare -p AMQP_URL RABBITMQ_API_URL REDIS_URL DATABASE_URL ${SERVICE_TOKEN:+SERVICE_TOKEN} ${GATEWAY_ADDR:+GATEWAY_ADDR} | sed 's/^declare -x/export/' >"$stack/env"
		# shellcheck disable=SC2016 # expanded where the file is read
		printf 'export PATH=%q:"$PATH"\n' "$bin" >>"$stack/env"
	)
}

prepare() {
	say "applying migrations and topology"
	garrisonctl migrate >&2
	garrisonctl topology apply >&2
	# Somebody to play with, in a database without any character.
	psql -q "$DATABASE_URL" >/dev/null <<-'END'
		INSERT INTO characters (id, name, gender)
		SELECT * FROM (VALUES (101, 'Mira', 'female'), (102, 'Borin', 'male'), (103, 'Sef', 'male'), (104, 'Ilka', 'female')) v
		WHERE NOT EXISTS (SELECT FROM characters);
	END
}

# The fleet -----------------------------------------------------------------------------------------------------------

declare -A worker_of=() admin_of=()
stopping=

port_is_free() {
	! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

next_port=${ADMIN_PORT_FIRST:-9101}
take_port() { # leaves it in $port
	until port_is_free "$next_port"; do
		next_port=$((next_port + 1))
	done
	port=$next_port
	next_port=$((next_port + 1))
}

start_worker() {
	local name=$1
	ADMIN_ADDR=${admin_of[$name]} setsid setpriv --pdeathsig TERM "$bin/$name" 9>&- 2>>"$stack/log/$name.log" </dev/null &
	worker_of[$!]=$name
}

# An address and a token for the pasted curl lines, where none are given.
prepare_gateway() {
	local port
	export GATEWAY_ADDR=${GATEWAY_ADDR:-127.0.0.1:8080}
	if ! port_is_free "${GATEWAY_ADDR##*:}"; then
		take_port
		say "$GATEWAY_ADDR is taken: the gateway listens on 127.0.0.1:$port"
		GATEWAY_ADDR=127.0.0.1:$port
	fi
	if [[ ! ${SERVICE_TOKEN:-}${SERVICE_TOKEN_FILE:-} ]]; then
		[[ -s $stack/service-token ]] || (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$stack/service-token")
		SERVICE_TOKEN=$(<"$stack/service-token")
		export SERVICE_TOKEN
	fi
}

start_fleet() {
	local file name port
	for file in "$bin"/garrison-*; do
		[[ -x $file ]] || continue
		name=${file##*/}
		take_port
		admin_of[$name]=127.0.0.1:$port
		: >"$stack/log/$name.log"
		start_worker "$name"
	done
	if ((${#worker_of[@]} == 0)); then
		say "there is no service in $bin"
		return 1
	fi
}

wait_until_ready() {
	local pid name i
	for pid in "${!worker_of[@]}"; do
		name=${worker_of[$pid]}
		for ((i = 0; i < 600; i++)); do
			if curl -sf -m 2 -o /dev/null "http://${admin_of[$name]}/readyz"; then
				say "$name is ready (http://${admin_of[$name]}/metrics)"
				continue 2
			fi
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.05
		done
		say "$name does not become ready; the end of $stack/log/$name.log:"
		tail -n 5 "$stack/log/$name.log" >&2
		return 1
	done
}

# A worker that ends by itself (a fault, a handler past its hard limit) is started again, as any supervisor would.
supervise() {
	local pid status name
	while [[ ! $stopping ]]; do
		status=0
		wait -n -p pid "${!worker_of[@]}" || status=$?
		[[ ${pid:-} && ! $stopping ]] || continue
		name=${worker_of[$pid]}
		unset "worker_of[$pid]"
		say "$name ended with status $status (log: $stack/log/$name.log); starting it again"
		sleep 1
		start_worker "$name"
	done
}

stop_everything() {
	stopping=yes
	trap '' INT TERM HUP
	local pid status
	if ((${#worker_of[@]})); then
		say "stopping the fleet"
		kill -s TERM "${!worker_of[@]}" 2>/dev/null || true
		for pid in "${!worker_of[@]}"; do
			status=0
			wait "$pid" || status=$?
			((status == 0)) || say "${worker_of[$pid]} ended with status $status"
		done
	fi
	if ((${#own_servers[@]})); then
		say "stopping ${own_servers[*]} (RabbitMQ takes some seconds)"
		deploy/local/servers.sh stop "$stack" 9>&-
		say "stopped; the data stays in $stack"
	fi
}

print_lines() {
	local e="$stack/env"
	cat <<-END

		The fleet runs; Ctrl-C stops it. Lines to paste in another terminal:

	END
	if [[ -x $bin/garrison-tick ]]; then
		cat <<-END
			. $e; garrisonctl call tick.start_auto_session '{"player_id":101,"active_category":"exploration"}'
			. $e; psql "\$DATABASE_URL" -c 'SELECT ticks, last_tick_at, next_tick_at, xp, gold FROM auto_sessions JOIN characters ON id = player_id WHERE id = 101'
		END
	fi
	if [[ -x $bin/garrison-gateway ]]; then
		cat <<-END
			. $e; curl -s http://$GATEWAY_ADDR/system/tick/auto-session/start -H "Authorization: Bearer \${SERVICE_TOKEN%%,*}" -d '{"player_id":102,"active_category":"trade"}'
			. $e; curl -s "http://$GATEWAY_ADDR/system/tick/auto-session/status?player_id=102" -H "Authorization: Bearer \${SERVICE_TOKEN%%,*}"

			Every route, with a form to try it: http://$GATEWAY_ADDR/docs
		END
	fi
	echo
}

interrupted() {
	stopping=yes
	exit 0
}

trap stop_everything EXIT
trap interrupted INT TERM HUP
start_servers
PATH=$bin:$PATH
if [[ -x $bin/garrison-gateway ]]; then
	prepare_gateway
fi
write_env
if [[ -x $bin/garrisonctl ]]; then
	prepare
fi
start_fleet
wait_until_ready
print_lines
supervise

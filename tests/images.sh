#!/bin/bash
# make test-images: build every image and run the fleet in containers, on the host's network against servers of its own; then all of
# deploy/compose.yaml by docker-compose, the servers too, on stand-ins for their images (tests/standins/).
#
# No image is pulled: debian:bookworm-slim is made by mmdebstrap. The Docker engine is one of this script's own, started by hand in a
# folder of its own and gone with it. Where there can be none, the script says "skipped" and why, and ends with 0.
set -euo pipefail
cd "$(dirname "$0")/.."

max_image_bytes=$((30 * 1000 * 1000))
n_characters=5000

say() { printf '%s\n' "$*"; }
skip() {
	say "skipped: $*"
	exit 0
}
fail() {
	say "FAILED: $*" >&2
	exit 1
}

((EUID == 0)) || skip "the Docker engine has to be started, and that takes root"
deploy/local/install-deps.sh images || skip "docker.io and mmdebstrap cannot be installed"
dockerd=$(command -v dockerd) || skip "there is no dockerd"
docker=/usr/bin/docker # Debian's, which fits the engine
[[ -x $docker ]] || skip "there is no $docker"

work=$(mktemp -d /var/tmp/garrison-images-XXXXXX)
chmod 755 "$work"
engine_pid='' containers=() composed=

clean_up() {
	local status=$?
	trap - EXIT INT TERM
	if [[ -S $work/docker.sock ]]; then
		if ((status)); then
			for container in "${containers[@]}"; do
				say "--- $container"
				"$docker" logs --tail 5 "$container" 2>&1 | cut -c1-400 || true
			done >&2
		fi
		[[ ! $composed ]] || compose_down "$status" || true
		((${#containers[@]} == 0)) || "$docker" rm -f "${containers[@]}" >/dev/null 2>&1 || true
	fi
	[[ ! -e $work/stack ]] || deploy/local/servers.sh remove "$work/stack" || true
	if [[ $engine_pid ]]; then
		kill "$engine_pid" 2>/dev/null || true
		wait "$engine_pid" 2>/dev/null || true
		umount "$work"/exec/netns/* 2>/dev/null || true
	fi
	rm -rf "$work" || say "left behind: $work" >&2
	exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# The engine ----------------------------------------------------------------------------------------------------------

export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=0
unset DOCKER_CONTEXT

start_engine() {
	local i
	"$dockerd" --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/dockerd.pid" \
		--bridge none --iptables=false --ip-masq=false >"$work/dockerd.log" 2>&1 </dev/null &
	engine_pid=$!
	for ((i = 0; i < 300; i++)); do
		if "$docker" info >/dev/null 2>&1; then
			return 0
		fi
		kill -0 "$engine_pid" 2>/dev/null || break
		sleep 0.1
	done
	skip "the Docker engine does not start here: $(grep -v level=info "$work/dockerd.log" | tail -n 1)"
}

make_base() {
	mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar" >"$work/mmdebstrap.log" 2>&1 ||
		skip "mmdebstrap cannot make a Debian: $(tail -n 1 "$work/mmdebstrap.log")"
	"$docker" import "$work/base.tar" debian:bookworm-slim >/dev/null
	rm "$work/base.tar"
	"$docker" run --rm --network host debian:bookworm-slim true 2>"$work/run.log" ||
		skip "containers cannot be run here: $(tail -n 1 "$work/run.log")"
}

# Images --------------------------------------------------------------------------------------------------------------

mapfile -t services < <(sed -n 's/^\([a-z][a-z0-9-]*\) .*/\1/p' deploy/fleet.list)
declare -A memory=() replicas=()
while read -r name n _ _ limit _; do
	memory[$name]=$limit replicas[$name]=$n
done < <(grep -v '^#' deploy/fleet.list)
version=$(git describe --always --dirty 2>/dev/null || echo unknown)
epoch=$(git log -1 --format=%ct 2>/dev/null || echo 0)

build_image() { # build_image NAME
	local bytes
	"$docker" build --network host -f deploy/Dockerfile --target "$1" -t "garrison-$1" --build-arg VERSION="$version" \
		--build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
		--build-arg SOURCE_DATE_EPOCH="$epoch" . >"$work/build.log" 2>&1 ||
		fail "image $1: $(tail -n 20 "$work/build.log")"
	bytes=$(inspect "garrison-$1" '{{.Size}}')
	((bytes <= max_image_bytes)) || fail "image $1 has $bytes bytes"
	[[ $(inspect "garrison-$1" '{{.Config.User}}') == 65532:65532 ]] || fail "image $1 runs as root"
	[[ $(inspect "garrison-$1" '{{index .Config.Labels "org.opencontainers.image.version"}}') == "$version" ]] ||
		fail "image $1 does not bear its version"
	if "$docker" run --rm --network none --entrypoint /bin/sh "garrison-$1" -c true 2>/dev/null; then
		fail "image $1 holds a shell"
	fi
	[[ $("$docker" run --rm --network none "garrison-$1" --version) == *" $version" ]] || fail "image $1 does not run"
	check_time "$1"
	say "image garrison-$1: $((bytes / 1000000)) MB"
}

check_time() { # the binary bears the time of the source
	local container listed
	container=$("$docker" create "garrison-$1")
	listed=$("$docker" export "$container" | tar -tv --utc --full-time --wildcards 'usr/bin/garrison*')
	"$docker" rm "$container" >/dev/null
	[[ $listed == *" $(date -u -d "@$epoch" '+%Y-%m-%d %H:%M:%S') "* ]] || fail "image $1 does not bear the source's time: $listed"
}

inspect() { "$docker" inspect -f "$2" "$1"; }

# Servers, and each service's users in them ---------------------------------------------------------------------------

prepare_servers() {
	deploy/local/servers.sh start "$work/stack" </dev/null
	# shellcheck source=/dev/null
	. "$work/stack/env"
	server_of() { sed -E 's,^[a-z]+://([^@/]*@)?,,' <<<"$1"; }
	AMQP_SERVER=$(server_of "$AMQP_URL") REDIS_SERVER=$(server_of "$REDIS_URL") POSTGRES_SERVER=$(server_of "$DATABASE_URL") \
		GARRISONCTL="$PWD/build/bin/garrisonctl" deploy/secrets.sh "$work/secrets" >/dev/null
	ctl migrate
	psql -qX -v ON_ERROR_STOP=1 "$DATABASE_URL" -f deploy/access/postgresql.sql -f "$work/secrets/postgresql-passwords.sql" >/dev/null
	curl -sf --noproxy '*' -X POST -H 'content-type: application/json' --data-binary "@$work/secrets/rabbitmq-definitions.json" \
		"${RABBITMQ_API_URL}api/definitions"
	while read -r _ user rules; do
		# shellcheck disable=SC2086 # words
		[[ $user == default ]] || redis-cli -u "$REDIS_URL" acl setuser "$user" reset $rules >/dev/null
	done <"$work/secrets/redis.acl"
	ctl topology apply
}

ctl() {
	"$docker" run --rm --network host -e AMQP_URL="$AMQP_URL" -e DATABASE_URL="$DATABASE_URL" -e REDIS_URL="$REDIS_URL" garrison-ctl "$@"
}

# The fleet -----------------------------------------------------------------------------------------------------------

declare -A admin_of=()
next_port=0

start_container() { # start_container SERVICE REPLICA
	local service=$1 name=garrison-$1-$2 url settings=()
	take_port
	admin_of[$name]=127.0.0.1:$port
	for url in amqp redis database; do
		settings+=(-e "${url^^}_URL_FILE=/run/secrets/$url-url" -v "$work/secrets/$service-$url-url:/run/secrets/$url-url:ro")
	done
	if [[ $service == gateway ]]; then
		take_port
		gateway=127.0.0.1:$port
		settings+=(-e "GATEWAY_ADDR=$gateway" -e SERVICE_TOKEN_FILE=/run/secrets/service-token
			-v "$work/secrets/service-token:/run/secrets/service-token:ro")
	fi
	"$docker" run -d --name "$name" --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
		--memory "${memory[$service]%i}" --pids-limit 512 \
		-e "ADMIN_ADDR=${admin_of[$name]}" "${settings[@]}" "garrison-$service" >/dev/null
	containers+=("$name")
}

# Above the servers' block of ports, below those the kernel hands out.
take_port() {
	((next_port)) || next_port=$(($(<"$work/stack/ports") + 20))
	while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do
		next_port=$((next_port + 1))
	done
	port=$next_port
	next_port=$((next_port + 1))
}

wait_until_healthy() {
	local container i
	for container; do
		for ((i = 0; i < 600; i++)); do
			[[ $(inspect "$container" '{{.State.Health.Status}}') == healthy ]] &&
				curl -sf --noproxy '*' -m 2 -o /dev/null "http://${admin_of[$container]}/readyz" && continue 2
			[[ $(inspect "$container" '{{.State.Running}}') == true ]] || break
			sleep 0.1
		done
		fail "$container does not become healthy"
	done
}

one_command_each() {
	local token
	psql -qX "$DATABASE_URL" -c "INSERT INTO characters (id, name) SELECT i, 'c' || i FROM generate_series(1, $n_characters) i"
	ctl call tick.get_auto_session_status '{"player_id":1}' | grep -q '"ok":true'
	ctl call arena.get_gear_score '{"char_id":1}' | grep -q '"gear_score":100'
	ctl call auth.register '{"login":"mira","password":"correct horse"}' | grep -q account_id
	ctl call state-backup.restore_full_state '{"char_id":1}' | grep -q '"ok":true'
	ctl call combat-settlement.assemble_belt '{"char_id":1}' | grep -q '"items":\[\]'
	token=$(<"$work/secrets/service-token")
	curl -sf --noproxy '*' -H "Authorization: Bearer $token" "http://$gateway/arena/queue/status?char_id=1" | grep -q '"active":false'
}

# Durable commands while one of three workers is told to stop: it ends cleanly, and all are done once.
stop_one_under_load() {
	local began stopped sessions
	/usr/bin/python3 - "$AMQP_URL" "$n_characters" >"$work/load.log" 2>&1 <<-'END' &
		import json, sys
		sys.path.insert(0, "tests")
		from lib.amqp import Amqp

		amqp = Amqp(sys.argv[1])
		for player in range(1, int(sys.argv[2]) + 1):
		    amqp.publish("tick.start_auto_session", {"player_id": player, "active_category": "trade"})
		amqp.close()
	END
	local load=$!
	wait_for_sessions 500
	began=$(date +%s%N)
	"$docker" stop -t 40 garrison-tick-2 >/dev/null
	stopped=$((($(date +%s%N) - began) / 1000000))
	sessions=$(count_sessions)
	((sessions < n_characters)) || fail "the load was over before the worker stopped: nothing is shown"
	[[ $(inspect garrison-tick-2 '{{.State.ExitCode}}') == 0 ]] ||
		fail "garrison-tick-2 ended with $(inspect garrison-tick-2 '{{.State.ExitCode}}')"
	wait "$load" || fail "the load: $(tail -n 3 "$work/load.log")"
	wait_for_sessions "$n_characters"
	dead=$(ctl dead list tick --json)
	grep -q '"total":0\|"groups":\[\]\|^\[\]' <<<"$dead" || fail "there are dead letters: $dead"
	say "one of three tick workers stopped under load after $sessions of $n_characters commands, in $stopped ms, with exit code 0; none lost"
}

count_sessions() { psql -qXAt "$DATABASE_URL" -c 'SELECT count(*) FROM auto_sessions'; }

wait_for_sessions() {
	local i
	for ((i = 0; i < 600; i++)); do
		(($(count_sessions) < $1)) || return 0
		sleep 0.05
	done
	fail "only $(count_sessions) of $1 commands were done"
}

# Compose: the file as it is but for "name:", which docker-compose 1 does not know --------------------------------------

compose() {
	(cd "$work/compose" && docker-compose -p garrison -f compose.yaml "$@")
}

compose_down() {
	if (($1)); then
		compose ps || true
		compose logs --no-color --tail 5 2>&1 | cut -c1-300 || true
	fi >&2
	compose down -v --timeout 5 >/dev/null 2>&1
}

prepare_compose() {
	local server
	for server in rabbitmq redis postgres; do
		"$docker" build --network host --target "$server" -t "standin-$server" tests/standins >"$work/build.log" 2>&1 ||
			fail "stand-in for $server: $(tail -n 20 "$work/build.log")"
	done
	mkdir "$work/compose"
	cp -r deploy/access "$work/compose/"
	sed '/^name:/d' deploy/compose.yaml >"$work/compose/compose.yaml"
	GARRISONCTL="$PWD/build/bin/garrisonctl" deploy/secrets.sh "$work/compose/secrets" >/dev/null
	export RABBITMQ_IMAGE=standin-rabbitmq REDIS_IMAGE=standin-redis POSTGRES_IMAGE=standin-postgres
	take_port
	export GATEWAY_PORTS=127.0.0.1:$port-$((port + 7))
}

ask_composed() { # ask_composed METHOD PATH [BODY]
	curl -s --noproxy '*' -m 5 -X "$1" -H "Authorization: Bearer $(<"$work/compose/secrets/service-token")" \
		-H 'Content-Type: application/json' "http://$composed_gateway$2" ${3:+-d "$3"}
}

wait_for_composed() { # wait_for_composed TEXT METHOD PATH [BODY]: until the answer holds the text
	local wanted=$1 i answer
	shift
	for ((i = 0; i < 300; i++)); do
		answer=$(ask_composed "$@" || true)
		[[ $answer == *"$wanted"* ]] && return
		sleep 0.2
	done
	fail "compose: $* is answered by: $answer"
}

healthy_composed() { # healthy_composed SERVICE N: until so many containers of it are healthy
	local i
	for ((i = 0; i < 300; i++)); do
		(($("$docker" ps -q --filter "label=com.docker.compose.service=$1" --filter health=healthy | wc -l) == $2)) && return
		sleep 0.2
	done
	fail "compose: there are not $2 healthy containers of $1"
}

run_composed() {
	local service
	composed=yes
	compose up -d --no-build >"$work/compose.log" 2>&1 || fail "compose up: $(tail -n 5 "$work/compose.log")"
	for service in rabbitmq redis postgres "${services[@]}"; do
		healthy_composed "$service" "${replicas[$service]:-1}"
	done
	composed_gateway=$(compose port gateway 8080)
	say "compose: all of it is up and healthy"
	compose exec -T postgres psql -qX -U garrison -c "INSERT INTO characters (id, name) VALUES (1, 'Mira')"
	wait_for_composed '"started":true' POST /system/tick/auto-session/start '{"player_id":1,"active_category":"trade"}'
	wait_for_composed '"active":false' GET '/arena/queue/status?char_id=1'
	wait_for_composed account_id POST /auth/register '{"login":"mira","password":"correct horse"}'
	wait_for_composed '"items":[]' POST '/commands/combat-settlement/assemble_belt?wait=3000' '{"char_id":1}'
	wait_for_composed '"state":"idle"' POST '/commands/state-backup/restore_full_state?wait=3000' '{"char_id":1}'
	say "compose: each service answered through the gateway"
	compose up -d --no-build --scale tick=3 >"$work/compose.log" 2>&1 || fail "compose --scale: $(tail -n 5 "$work/compose.log")"
	healthy_composed tick 3
	say "compose: --scale tick=3"
	compose_down 0 || fail "compose down"
	composed=
}

say "starting a Docker engine in $work"
start_engine
say "making debian:bookworm-slim"
make_base
for service in ctl "${services[@]}"; do
	build_image "$service"
done
prepare_servers
for service in "${services[@]}"; do
	start_container "$service" 1
done
wait_until_healthy "${containers[@]}"
say "healthy: ${containers[*]}"
one_command_each
say "each service answered"
start_container tick 2
start_container tick 3
wait_until_healthy garrison-tick-2 garrison-tick-3
say "tick runs three times"
stop_one_under_load
if command -v docker-compose >/dev/null; then
	prepare_compose
	run_composed
else
	say "compose: skipped, there is no docker-compose"
fi
say "ok"

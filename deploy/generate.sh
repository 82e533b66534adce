#!/bin/bash
# shellcheck disable=SC2034 # deploy/generate/*.sh use what is set here
#
# Write what deployment needs per service from deploy/fleet.list and deploy/access/rights.list.
#
#   generate.sh [DIR]    into DIR's deploy/ instead of this tree's (to compare)
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

out=${1:-.}/deploy
parts=(deploy/generate/*.sh)

fail() {
	echo "$0: $*" >&2
	exit 1
}

# The list: service names in order, and each column as a map from the service. -----------------------------------------

services=()
declare -A replicas=() most=() needs=() memory=()

read_fleet() {
	local name rest
	while read -r name rest; do
		[[ $name && $name != \#* ]] || continue
		[[ -e services/$name/main.c ]] || fail "deploy/fleet.list: there is no services/$name/main.c"
		services+=("$name")
		read -r "replicas[$name]" "most[$name]" "needs[$name]" "memory[$name]" _ <<<"$rest"
		[[ ${memory[$name]} == *Mi ]] || fail "deploy/fleet.list: $name: memory \"${memory[$name]}\" is not in Mi"
	done <deploy/fleet.list
	((${#services[@]})) || fail "deploy/fleet.list names no service"
	mapfile -t services < <(printf '%s\n' "${services[@]}" | sort)
}

# What a service needs a URL of: the broker, and its stores.
urls_of() {
	echo amqp
	[[ ${needs[$1]} != *redis* ]] || echo redis
	[[ ${needs[$1]} != *postgres* ]] || echo database
}

# The numbers that must fit each other: a container is given longer than SHUTDOWN_GRACE (25s) and what follows it.
stop_grace_s=40

# write FILE: standard input into that file, with the words that say where it comes from.
write() {
	mkdir -p "$(dirname "$out/$1")"
	{
		echo "# Made by \"make deploy-files\" from deploy/fleet.list: change that, or deploy/generate/."
		cat
	} >"$out/$1"
}

mkdir -p "$out/access"
read_fleet
for part in "${parts[@]}"; do
	# shellcheck source=/dev/null
	. "$part"
done

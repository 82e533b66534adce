#!/bin/bash
# Install from Debian's packages what is missing, and nothing else.
#
#   install-deps.sh [run|test|lint|images|peers]     each includes the ones before it, but images only run, and peers no lint;
#                                                    default: run
#
# Works as root or with sudo. When nothing is missing, apt is not called at all. The packages' services are neither
# started nor enabled: garrison runs private servers of its own.
set -euo pipefail

run_packages=(
	gcc libc6-dev make git pkg-config
	librabbitmq-dev libhiredis-dev libpq-dev libcjson-dev libmicrohttpd-dev libsodium-dev libcurl4-openssl-dev
	rabbitmq-server redis-server postgresql-15 curl procps util-linux
)
test_packages=(
	python3 python3-pytest python3-pytest-xdist python3-pytest-timeout python3-pytest-rerunfailures
	python3-pika python3-redis python3-psycopg2 python3-jwt python3-cryptography python3-requests python3-jsonschema python3-yaml prometheus
	chromium chromium-driver wrk
	clang clang-format libclang-rt-14-dev
)
lint_packages=(clang-tidy shellcheck)
peers_packages=(
	python3-celery python3-aio-pika python3-asyncpg python3-sqlalchemy python3-fastapi python3-uvicorn
	python3-uvloop python3-httptools python3-hiredis python3-ujson
)
images_packages=(docker.io docker-compose mmdebstrap python3 python3-pika)

wanted=("${run_packages[@]}")
case ${1:-run} in
run) ;;
test) wanted+=("${test_packages[@]}") ;;
lint) wanted+=("${test_packages[@]}" "${lint_packages[@]}") ;;
images) wanted+=("${images_packages[@]}") ;;
peers) wanted+=("${test_packages[@]}" "${peers_packages[@]}") ;;
*)
	echo "usage: $0 [run|test|lint|images|peers]" >&2
	exit 64
	;;
esac

missing_packages() {
	comm -23 <(printf '%s\n' "$@" | sort -u) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p' | sort -u)
}

# The packages' own services must not start: they would take the standard ports, with their default passwords.
policy=/usr/sbin/policy-rc.d
saved_policy=/usr/sbin/policy-rc.d.before-garrison

deny_service_starts() {
	if [[ (-e $policy || -L $policy) && ! -e $saved_policy ]]; then
		mv "$policy" "$saved_policy"
	fi
	trap restore_policy EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
}

restore_policy() {
	rm -f "$policy"
	if [[ -e $saved_policy || -L $saved_policy ]]; then
		mv "$saved_policy" "$policy"
	fi
}

# What a package enables for the next boot while it is installed here is disabled again; what was enabled before stays.
service_units=(rabbitmq-server.service epmd.service epmd.socket redis-server.service postgresql.service docker.service docker.socket
	containerd.service prometheus.service)

enabled_units() {
	local unit
	for unit in "${service_units[@]}"; do
		if systemctl --quiet is-enabled "$unit" 2>/dev/null; then
			echo "$unit"
		fi
	done
}

install_as_root() {
	local enabled_before unit
	exec 9>/run/lock/garrison-install-deps
	flock 9
	enabled_before=$(enabled_units)
	deny_service_starts
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq update || echo "apt-get update failed: trying with the package lists at hand" >&2
	apt-get -y -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >/dev/null
	for unit in $(comm -13 <(echo "$enabled_before" | sort) <(enabled_units | sort)); do
		systemctl --quiet disable "$unit" || echo "could not disable $unit: it will start at the next boot" >&2
	done
}

mapfile -t missing < <(missing_packages "${wanted[@]}")
if ((${#missing[@]} == 0)); then
	exit 0
fi
echo "installing from Debian: ${missing[*]}"
if ((EUID == 0)); then
	install_as_root "${missing[@]}"
elif command -v sudo >/dev/null; then
	sudo "$(readlink -f "$0")" "${1:-run}"
else
	echo "cannot install: not root, and there is no sudo. As root: apt-get install ${missing[*]}" >&2
	exit 69
fi

#!/bin/bash
# bench.sh [NAME ...]: run tests/bench/NAME.sh or NAME.py (default: all), on servers of this run alone. Each is given
# the servers' addresses in the environment, and prints its own figures.
set -euo pipefail
cd "$(dirname "$0")/.."

stack=$(mktemp -d /tmp/garrison-bench-XXXXXX)
chmod 755 "$stack"
trap 'deploy/local/servers.sh remove "$stack"' EXIT
deploy/local/servers.sh start "$stack"
# shellcheck source=/dev/null
. "$stack/env"
export PATH=$PWD/build/bin:$PATH GARRISON_TEST_STACK=$stack PYTHONPATH=$PWD/tests
garrisonctl migrate
garrisonctl topology apply

shopt -s nullglob
status=0
for file in tests/bench/*.sh tests/bench/*.py; do
	name=$(basename "${file%.*}")
	[[ $# -eq 0 || " $* " == *" $name "* ]] || continue
	echo "== $name"
	case $file in
	*.sh) "$file" || status=1 ;;
	*.py) /usr/bin/python3 "$file" || status=1 ;;
	esac
done
exit $status

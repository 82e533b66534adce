#!/bin/bash
# demo.sh [OPTIONS OF garrisonctl simulate]: a crowd of players on the fleet that `make run` has started.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd -P)
env=$root/.stack/env

if [[ ! -r $env ]] || flock -n "$root/.stack/lock" true; then
	echo 'no fleet is running: start one with "make run", and this in another terminal' >&2
	exit 69
fi
# shellcheck source=/dev/null
. "$env"
if [[ ! ${GATEWAY_ADDR:-} ]]; then
	echo "the fleet in $root/.stack has no gateway: it is still being started, or was built without one" >&2
	exit 69
fi

seed=$RANDOM
cat <<END
Fifty players register, log in, make characters, set them to work, meet in the arena, fight, and press buttons of
fights that are long over; then everything they did is looked for in the broker, the cache and the database.

END
status=0
garrisonctl simulate --gateway "http://$GATEWAY_ADDR" --players 50 --seconds 60 --rate 200 --seed "$seed" "$@" || status=$?
cat <<END

The richest of them, and other things to look at:

    . $env
    psql "\$DATABASE_URL" -c 'SELECT id, name, xp, gold FROM characters ORDER BY gold DESC LIMIT 5'
    garrisonctl status --watch
    garrisonctl audit
END
exit "$status"

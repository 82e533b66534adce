#!/bin/bash
# secrets.sh [DIR]: passwords and connection URLs of every service, for a fleet in which each has its own users.
#
# Into DIR (default: deploy/secrets): passwords/<user>, kept where they are there already; <service>-amqp-url, -redis-url,
# -database-url; and what the servers read: rabbitmq-definitions.json, redis.acl, postgresql-passwords.sql.
#
#   AMQP_SERVER=host:port/vhost REDIS_SERVER=host:port/db POSTGRES_SERVER=host:port/database    default: compose.yaml's
#   of several: AMQP_SERVER=host:port/vhost,host:port/vhost REDIS_SERVER=redis+sentinel://host:port,host:port/master/db
#               POSTGRES_SERVER='host:port,host:port/database?target_session_attrs=read-write'
#   GARRISONCTL="command"    default: build/bin/garrisonctl, else the one in PATH, else the image garrison-ctl
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
amqp_server=${AMQP_SERVER:-rabbitmq:5672/}
redis_server=${REDIS_SERVER:-redis:6379/0}
postgres_server=${POSTGRES_SERVER:-postgres:5432/garrison}

mkdir -p "${1:-$root/deploy/secrets}"
dir=$(cd "${1:-$root/deploy/secrets}" && pwd -P)
chmod 700 "$dir" # the files are open to their container's user; the folder is not open to others here
mkdir -p "$dir/passwords"

put() { # put FILE: standard input into it, whole or not at all
	cat >"$dir/$1.new"
	chmod 444 "$dir/$1.new"
	mv -f "$dir/$1.new" "$dir/$1"
}

random_hex() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

password_of() {
	[[ -s $dir/passwords/$1 ]] || random_hex | put "passwords/$1"
	cat "$dir/passwords/$1"
}

if [[ ${GARRISONCTL:-} ]]; then
	read -ra garrisonctl <<<"$GARRISONCTL"
	passwords=$dir/passwords
elif [[ -x $root/build/bin/garrisonctl ]]; then
	garrisonctl=("$root/build/bin/garrisonctl")
	passwords=$dir/passwords
elif command -v garrisonctl >/dev/null; then
	garrisonctl=(garrisonctl)
	passwords=$dir/passwords
else
	garrisonctl=(docker run --rm --network none -v "$dir/passwords:/passwords:ro" --user "$(id -u)" garrison-ctl)
	passwords=/passwords
fi

[[ $redis_server == *://* ]] || redis_server=redis://$redis_server

amqp_url() { # amqp_url USER:PASSWORD@, or nothing
	local server servers urls=()
	IFS=, read -ra servers <<<"$amqp_server"
	for server in "${servers[@]}"; do
		urls+=("amqp://$1$server")
	done
	(IFS=, && echo "${urls[*]}")
}

redis_url() { echo "${redis_server%%://*}://$1${redis_server#*://}"; }

mapfile -t services < <(sed -n 's/^\([a-z][a-z0-9-]*\) .*/\1/p' "$root/deploy/fleet.list")
for service in "${services[@]}"; do
	password=$(password_of "garrison-$service")
	amqp_url "garrison-$service:$password@" | put "$service-amqp-url"
	redis_url "garrison-$service:$password@" | put "$service-redis-url"
	echo "postgresql://garrison-$service:$password@$postgres_server" | put "$service-database-url"
done
for user in bot engine operator; do
	password=$(password_of "garrison-$user")
	amqp_url "garrison-$user:$password@" | put "$user-amqp-url"
	redis_url "garrison-$user:$password@" | put "$user-redis-url"
done
# The owner of the database: migrations and rights.
echo "postgresql://garrison:$(password_of owner)@$postgres_server" | put operator-database-url
password_of owner | put owner-password
[[ -s $dir/service-token ]] || random_hex | put service-token

"${garrisonctl[@]}" topology users --passwords "$passwords" "AMQP_URL=$(amqp_url "")" | put rabbitmq-definitions.json
while read -r line; do
	[[ $line != \#* ]] || continue
	if [[ $line =~ \#@([a-z0-9-]+)@ ]]; then
		hash=$(password_of "${BASH_REMATCH[1]}" | sha256sum)
		line=${line/"${BASH_REMATCH[0]}"/#${hash%% *}}
	fi
	echo "$line"
done <"$root/deploy/access/redis.acl.in" | put redis.acl
for service in "${services[@]}"; do
	if grep -qF "ROLE \"garrison-$service\"" "$root/deploy/access/postgresql.sql"; then
		echo "ALTER ROLE \"garrison-$service\" PASSWORD '$(password_of "garrison-$service")';"
	fi
done | put postgresql-passwords.sql
echo "secrets are in $dir"

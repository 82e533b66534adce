#!/bin/sh
# As the official image: an empty data folder becomes a server with POSTGRES_USER, its password and POSTGRES_DB.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	initdb -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
		--encoding=UTF8 --locale=C.UTF-8 --no-instructions
	echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
	echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
	pg_ctl start -w -o "-c listen_addresses=''"
	createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
	pg_ctl stop -w
fi
exec "$@"

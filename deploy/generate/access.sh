# shellcheck shell=bash disable=SC2154 # generate.sh sets what is used here
# deploy/access/: PostgreSQL's roles and Redis' users, each with just what the service touches.

declare -A keys_of=() commands_of=()
grants=()

read_rights() {
	local service kind what rest
	while read -r service kind what rest; do
		[[ $service && $service != \#* ]] || continue
		[[ ${needs[$service]:-} ]] || fail "deploy/access/rights.list: deploy/fleet.list has no service $service"
		case $kind in
		table) grants+=("GRANT $rest ON $what TO \"garrison-$service\";") ;;
		sequence) grants+=("GRANT USAGE ON SEQUENCE $what TO \"garrison-$service\";") ;;
		keys) keys_of[$service]="$what${rest:+ $rest}" ;;
		commands) commands_of[$service]="$what${rest:+ $rest}" ;;
		*) fail "deploy/access/rights.list: $service: \"$kind\" is none of table, sequence, keys, commands" ;;
		esac
	done <deploy/access/rights.list
}

roles_sql() {
	local service
	cat <<-'SQL'
		--
		--   psql DATABASE_URL -f deploy/access/postgresql.sql    as the owner of the database, after garrisonctl migrate
		--
		-- A role for each service, with just the tables it touches. Safe to run again: rights that are no longer listed are taken away.
		BEGIN;
		DO $$ BEGIN
			EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
		END $$;
		REVOKE CREATE ON SCHEMA public FROM PUBLIC;
	SQL
	for service in "${services[@]}"; do
		[[ ${needs[$service]} == *postgres* ]] || continue
		cat <<-SQL

			DO \$\$ BEGIN
				IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'garrison-$service') THEN
					CREATE ROLE "garrison-$service" LOGIN NOINHERIT;
				END IF;
				EXECUTE format('GRANT CONNECT ON DATABASE %I TO "garrison-$service"', current_database());
			END \$\$;
			REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "garrison-$service";
			REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "garrison-$service";
			GRANT USAGE ON SCHEMA public TO "garrison-$service";
			GRANT SELECT ON schema_migrations TO "garrison-$service";
		SQL
		printf '%s\n' "${grants[@]}" | grep -F "\"garrison-$service\"" || true
	done
	echo 'COMMIT;'
}

# All may connect, run scripts (whose commands and keys are checked one by one), ask for the time and a replica's role.
redis_user() { # redis_user NAME KEYS COMMANDS [EXCEPTIONS]
	local commands=${3//@/+@}
	echo "user garrison-$1 on #@garrison-$1@ resetchannels $2 -@all +@connection +@scripting $commands -@dangerous +time +role${4:+ $4}"
}

redis_users() {
	local service
	cat <<-'END'
		#
		# deploy/secrets.sh puts the SHA-256 of each user's password in place of #@…@; redis-server --aclfile takes no comments.
	END
	echo 'user default off'
	for service in "${services[@]}"; do
		[[ ${needs[$service]} != *redis* ]] ||
			redis_user "$service" "${keys_of[$service]:-~$service:*}" "${commands_of[$service]:-@read @write}"
	done
	# The game's own engine: live sessions and contexts. The operator: status, audit.
	redis_user engine '~ac:* ~dirty_accounts ~combat:session:* ~inventory:session:* ~scenario:session:*' '@hash @set @string @keyspace'
	redis_user operator '%R~*' '@read' '+info +config|get'
}

read_rights
{
	echo '-- Made by "make deploy-files" from deploy/fleet.list and deploy/access/rights.list: change those.'
	roles_sql
} >"$out/access/postgresql.sql"
redis_users | write access/redis.acl.in

#!/bin/sh
# generate.sh NNNN_name.sql ...: the C table of the migrations, in their order; embed.sh makes the texts it points at.
set -eu

echo '#include "deploy/migrations/migrations.h"'
echo
for file; do
	echo "extern const char migration_$(basename "$file" .sql)[];"
done
echo
echo 'const struct migration migrations[] = {'
previous=0
for file; do
	name=$(basename "$file" .sql)
	case $name in
	[0-9][0-9][0-9][0-9]_*) ;;
	*)
		echo "$file: a migration is named NNNN_name.sql" >&2
		exit 1
		;;
	esac
	number=$(echo "${name%%_*}" | sed 's/^0*//')
	if [ "$number" -ne $((previous + 1)) ]; then
		echo "$file: the migration after $previous must be number $((previous + 1))" >&2
		exit 1
	fi
	previous=$number
	printf '\t{ %d, "%s", migration_%s },\n' "$number" "$name" "$name"
done
echo '};'
echo "const size_t n_migrations = $previous;"

#!/bin/bash
# Rules of this code base that no compiler knows. Prints every breach; exit status 1 if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

breaches=0
breach() {
	echo "$*" >&2
	breaches=$((breaches + 1))
}

mapfile -t sources < <(git ls-files -co --exclude-standard -- '*.c' '*.h' | while read -r f; do [[ ! -e $f ]] || echo "$f"; done)

# only LIBRARY_HEADER NAME: nobody includes it but common/NAME.c and its own parts, common/NAME_*.[ch]; examples for other
# programs and the benches' bare clients stand outside
only() {
	local header=$1 name=$2 file
	for file in $(grep -lE "^#include <(.*/)?$header>" "${sources[@]}" || true); do
		[[ $file =~ ^(docs/examples|tests/bench)/ || $file =~ ^common/$name(_[a-z]+)?\.[ch]$ ]] || breach "$file includes <$header>, which is for common/$name.c alone"
	done
}

only amqp.h bus
only libpq-fe.h pg
only hiredis.h kv

# Arrows run one way: services -> common; no service includes another; common/ knows none of them.
for file in "${sources[@]}"; do
	folder=$(dirname "$file")
	case $file in
	services/*)
		while read -r included; do
			breach "$file includes $included of another service"
		done < <(sed -n 's,^#include "\(services/[^"]*\)".*,\1,p' "$file" | grep -v "^$folder/" || true)
		;;
	common/*)
		while read -r included; do
			breach "$file includes $included: common/ stands on nothing of the project"
		done < <(sed -nE 's,^#include "((services|topology|deploy)/[^"]*)".*,\1,p' "$file")
		;;
	esac
	lines=$(wc -l <"$file")
	((lines <= 450)) || breach "$file has $lines lines; past 450 something wants a room of its own"
	if grep -nE '^[^"]*\bgoto [a-z_]+;' "$file"; then
		breach "$file has a goto"
	fi
	if [[ $file == services/*/main.c ]] && ((lines > 60)); then
		breach "$file has $lines lines; a main.c is a table of at most 60"
	fi
done

((breaches == 0))

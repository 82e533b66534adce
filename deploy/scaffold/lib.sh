# shellcheck shell=bash
# What new-command.sh and new-service.sh share: checks, and edits of tables that stay sorted.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C
: "${service:=}" "${command:=}" # set by the caller

fail() {
	echo "$0: $*" >&2
	exit 64
}

# check_name WHAT NAME PATTERN
check_name() {
	[[ $2 =~ ^$3$ ]] || fail "$1 \"$2\" must match $3"
}

# fill TEMPLATE OUT: writes a template with its words replaced. SERVICE has dashes, SERVICE_ID underscores.
fill() {
	[[ ! -e $2 ]] || fail "$2 exists already"
	sed -e "s/@service@/$service/g" -e "s/@service_id@/${service//-/_}/g" \
		-e "s/@SERVICE_ID@/$(tr a-z- A-Z_ <<<"$service")/g" \
		-e "s/@command@/$command/g" -e "s/@COMMAND@/${command^^}/g" "$1" >"$2"
	echo "  new      $2"
}

# insert FILE BEGIN LINE: puts LINE into the block of FILE that begins with the line BEGIN and ends with "};", at its end.
insert() {
	awk -v begin="$2" -v line="$3" '
		$0 == begin { inside = 1 }
		inside && $0 == "};" { print line; inside = 0; done = 1 }
		{ print }
		END { exit !done }' "$1" >"$1.new" || fail "$1 has no block \"$2\""
	mv "$1.new" "$1"
	echo "  changed  $1"
}

# sort_block FILE BEGIN: sorts the lines of such a block.
sort_block() {
	awk -v begin="$2" '
		inside && $0 == "};" { inside = 0; close("sort") }
		inside { print | "sort"; next }
		{ print; fflush() }
		$0 == begin { inside = 1 }' "$1" >"$1.new"
	mv "$1.new" "$1"
}

# add_include FILE HEADER: among the quoted includes at its head, in order.
add_include() {
	awk -v line="#include \"$2\"" '
		/^#include "/ { head[n++] = $0; next }
		n && !done { head[n++] = line; for (i = 0; i < n; i++) print head[i] | "sort"; close("sort"); done = 1 }
		{ print; fflush() }' "$1" >"$1.new"
	mv "$1.new" "$1"
}

#!/bin/bash
# new-command.sh SERVICE NAME: a command that compiles, is tested and documented, in its four places: a row in main.c, its header,
# its body, its black-box test. It looks a character up; make it do what it is for.
# shellcheck source=deploy/scaffold/lib.sh
. "$(dirname "$0")/lib.sh"

[[ $# -eq 2 && -n $1 && -n $2 ]] || fail "usage: make new-command SERVICE=arena NAME=decline_match"
service=$1 command=$2
check_name SERVICE "$service" '[a-z][a-z0-9-]*'
check_name NAME "$command" '[a-z][a-z0-9_]*'
[[ -f services/$service/main.c ]] || fail "there is no service \"$service\" (see services/)"

fill deploy/scaffold/command.h.in "services/$service/$command.h"
fill deploy/scaffold/command.c.in "services/$service/$command.c"
fill deploy/scaffold/test_command.py.in "tests/blackbox/test_${service//-/_}_$command.py"
add_include "services/$service/main.c" "services/$service/$command.h"
insert "services/$service/main.c" 'static const struct command commands[] = {' \
	"	COMMAND($command, \"$command\", .help = \"Look a character up\"),"
echo "now: make test PYTEST_ARGS=tests/blackbox/test_${service//-/_}_$command.py"

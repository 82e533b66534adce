#!/bin/bash
# new-service.sh NAME: a service with one command, in its four places: its folder, a row in the topology, a line in the fleet's
# list (from which deployment is made), a black-box scenario.
# shellcheck source=deploy/scaffold/lib.sh
. "$(dirname "$0")/lib.sh"

[[ $# -eq 1 && -n $1 ]] || fail "usage: make new-service NAME=guild"
service=$1 command=look_up
check_name NAME "$service" '[a-z][a-z0-9-]*'
[[ ! -e services/$service ]] || fail "services/$service exists already"

mkdir "services/$service"
fill deploy/scaffold/main.c.in "services/$service/main.c"
insert topology/topology.c 'const char *const topology_services[] = {' "	\"$service\","
sort_block topology/topology.c 'const char *const topology_services[] = {'
printf '%-20s %-9s %-5s %-16s %-7s %-13s %-13s %s\n' "$service" 1 8 redis,postgres 64Mi - - bot,engine >>deploy/fleet.list
echo "  changed  deploy/fleet.list"
{
	echo
	printf '%-18s %s\n' "$service" "table     characters               SELECT" "$service" "keys      ~$service:*" \
		"$service" "commands  @hash @set @sortedset @string @keyspace"
} >>deploy/access/rights.list
echo "  changed  deploy/access/rights.list"
deploy/generate.sh
echo "  changed  what deployment is made of (make deploy-files)"
deploy/scaffold/new-command.sh "$service" "$command"
echo "then: \"garrisonctl topology apply\" where it is to run"

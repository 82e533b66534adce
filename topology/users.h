/*
 * Who may do what in the broker: a user for each service, with its own queues and the exchanges it needs; two for publishers outside
 * ("bot", "engine"), kept to some services' commands by topic permissions; one for the operator.
 */
#ifndef GARRISON_USERS_H
#define GARRISON_USERS_H

#include "error.h"
#include "text.h"
#include "topology.h"

/* deploy/fleet.list, embedded where it is needed. */
extern const char fleet_list[];

/*
 * Writes the users and their permissions in the vhost, as RabbitMQ's definitions JSON. fleet is deploy/fleet.list's text.
 * password_dir holds a password in a file named like each user; NULL: users that cannot log in yet. 0, or -1: invalid_payload for a
 * line of the list that cannot be read, not_found for a password that is not there. Any thread.
 */
int topology_users(const struct topology *topology, const char *fleet, const char *vhost, const char *password_dir,
	struct text *out, struct error *err);

#endif

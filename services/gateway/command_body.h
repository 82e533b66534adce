/* The body of a command, made of what an HTTP request says in its body, its query and its Authorization header. Pure. */
#ifndef GATEWAY_COMMAND_BODY_H
#define GATEWAY_COMMAND_BODY_H

#include "caller.h"
#include "commands.h"
#include "field.h"
#include "target.h"

struct command_parts {
	const struct route *route;
	const struct known_command *command; /* of the route; says how a field of the query is written */
	const struct target *target;
	const struct caller *caller;
	const char *bearer; /* for the route's token field */
	const char *body;   /* as it came; body_len bytes and a NUL */
	size_t body_len;
};

/*
 * Writes the command's body onto out, which is empty. What comes from the body is passed on as it came: the service that takes it
 * judges it. 0, or -1: invalid_json; invalid_payload (no JSON object; a field given twice: problem says which); forbidden (a
 * player for a character not its own). scratch holds what must stay until the answer. Any thread.
 */
int command_body(const struct command_parts *parts, struct text *out, struct problem *problem, struct scratch *scratch,
	struct error *err);

#endif

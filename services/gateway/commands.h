/* The commands of all services, as the build found them, in the short form that each request needs. */
#ifndef GATEWAY_COMMANDS_H
#define GATEWAY_COMMANDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scratch.h"

enum field_form { FORM_TEXT, FORM_INTEGER, FORM_NUMBER, FORM_BOOLEAN };

struct known_field {
	const char *name;
	enum field_form form;
};

struct known_command {
	const char *name; /* "<service>.<command>" */
	bool durable, rpc;
	int timeout_ms;
	size_t body_max;
	struct known_field *fields; /* of the request */
	size_t n_fields;
};

/* Reads the embedded catalogue; once, before any other thread. BUG()s on what the build cannot have made. */
void commands_load(void);
void commands_release(void);
/* The whole catalogue as JSON in scratch, for who describes it. Main thread. */
const cJSON *commands_catalogue(struct scratch *scratch);
/* The command of that name; NULL for none. Any thread. */
const struct known_command *command_known(const char *name);
/* How a field of its request is written in JSON; FORM_TEXT for an unknown one. Any thread. */
enum field_form command_field_form(const struct known_command *command, const char *field);

#endif

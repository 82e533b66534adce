/*
 * Settings: defaults, then the environment (NAME, or NAME_FILE for a file with the value), then NAME=value arguments.
 */
#ifndef GARRISON_SETTINGS_H
#define GARRISON_SETTINGS_H

#include "duration.h"
#include "error.h"
#include "field.h"

/* A group of settings: a schema whose outside names are the variables' names, and the struct it fills. */
struct settings_group {
	const struct schema *schema;
	void *out;
};

/*
 * Fills all groups. arguments are the NAME=value words of the command line; an unknown name there, and a bad value
 * anywhere, is refused: -1, err says name, value (unless secret) and reason. An empty value is none: in the
 * environment that leaves the default, as an argument it brings the default back. The structs' strings live in
 * scratch. Main thread, at start.
 */
int settings_load(const struct settings_group *groups, size_t n_groups, int n_arguments, char **arguments,
	struct scratch *scratch, struct error *err);

/* The row of that name, or NULL when no group has it. Any thread. */
const struct field *settings_find(const struct settings_group *groups, size_t n_groups, const char *name);

#endif

/* Settings: defaults, then the environment (NAME, or NAME_FILE for a file with the value), then NAME=value arguments. */
#ifndef GARRISON_SETTINGS_H
#define GARRISON_SETTINGS_H

#include "error.h"
#include "field.h"

/* A group of settings: a schema whose outside names are the variables' names, and the struct it fills. */
struct settings_group {
	const struct schema *schema;
	void *out;
};

/*
 * Fills all groups. arguments are the NAME=value words of the command line; an unknown name there, and a bad value anywhere, is
 * refused: -1, err says name, value (unless secret) and reason. The structs' strings live in scratch. Main thread, at start.
 */
int settings_load(const struct settings_group *groups, size_t n_groups, int n_arguments, char **arguments,
		  struct scratch *scratch, struct error *err);

/* Durations to and from text ("90s", "1500ms"); for messages and queue names. 0/-1. Any thread. */
int duration_parse(const char *text, int64_t *ms);
char *duration_format(int64_t ms, char buffer[static 24]); /* the largest whole unit: "10m", "90s", "1500ms" */

#endif

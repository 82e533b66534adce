/* A request's target ("/arena/queue/status?char_id=101") in its parts. Pure. */
#ifndef GATEWAY_TARGET_H
#define GATEWAY_TARGET_H

#include <stddef.h>

#include "error.h"
#include "scratch.h"

#define TARGET_PARAMETERS_MAX 32

struct parameter {
	const char *name, *value;
};

struct target {
	const char *path; /* percent-decoded */
	size_t n;
	struct parameter parameters[TARGET_PARAMETERS_MAX];
};

/*
 * Takes a target apart; what it says lives in scratch. 0, or -1: it is not absolute ("/…"), has a bad percent-escape, a control
 * character, bytes that are not UTF-8, or too many parameters. Any thread.
 */
int target_parse(const char *text, struct target *out, struct scratch *scratch, struct error *err);

/* The value of a parameter, "" where it has none; NULL when it is not given. *n (may be NULL) is how often it is. Any thread. */
const char *target_parameter(const struct target *target, const char *name, size_t *n);

#endif

/* The JSON that a verb is given on its command line or standard input. */
#ifndef GARRISON_CTL_BODY_H
#define GARRISON_CTL_BODY_H

#include "error.h"
#include "scratch.h"

/*
 * The argument itself, or standard input for "-"; it must be exactly one JSON value. NUL-terminated, in scratch. NULL: invalid_json or
 * invalid_payload, saying where.
 */
const char *body_read(const char *argument, struct scratch *scratch, size_t *len, struct error *err);

#endif

/* How a handler ends: each returns the outcome, so that a handler says `return reply_ok(call, …);`. */
#ifndef GARRISON_REPLY_H
#define GARRISON_REPLY_H

#include "call.h"

/* The result, written by the command's result schema. DONE. */
enum outcome reply_ok(struct call *call, const void *result);
/* A result already in JSON. DONE. */
enum outcome reply_ok_json(struct call *call, const struct text *result);
/* Would fail the same way again; code must not be a transient one. REFUSED. */
enum outcome refuse(struct call *call, enum code code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same, invalid_payload at stage validate, naming a field by full path; may be called several times before returning. REFUSED. */
enum outcome refuse_field(struct call *call, const char *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* An operation failed: RETRY for a transient code, REFUSED for another. The error is copied. */
enum outcome retry(struct call *call, const struct error *err);

/* Writes {"ok":…} as it goes on the wire. */
void reply_write(const struct call *call, struct text *out);

#endif

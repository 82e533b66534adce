/* What ac:{id} says, as columns to compare with the database's. Pure: no I/O. */
#ifndef GARRISON_CTL_AUDIT_CONTEXT_H
#define GARRISON_CTL_AUDIT_CONTEXT_H

#include <stdbool.h>

#include "kv.h"
#include "scratch.h"
#include "uuid.h"

/* The fields of the hash that are read, in this order. */
enum context_field {
	CONTEXT_STATE,
	CONTEXT_LOCATION,
	CONTEXT_BIO,
	CONTEXT_STATS,
	CONTEXT_VITALS,
	CONTEXT_COMBAT,
	CONTEXT_FIELDS
};
extern const char *const context_fields[CONTEXT_FIELDS];

/* What is NULL, nil, 0 or not had is left alone by a backup, and so is not compared. Strings live in scratch or in the answer. */
struct context {
	int64_t char_id;
	const char *state;
	bool has_current, has_prev;
	const char *current, *prev; /* NULL is a value here: nowhere */
	const char *name, *gender;
	int64_t created_at_us;
	const char *stats, *vitals; /* JSON */
	size_t stats_len, vitals_len;
	struct uuid combat;
	const char *unreadable; /* the first field, or member, that a backup could not read; NULL: none */
};

/* Reads the answer to HMGET of context_fields. Any thread. */
void context_read(const struct kv_answer *answer, struct scratch *scratch, struct context *out);

#endif

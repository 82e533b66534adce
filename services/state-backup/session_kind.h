/*
 * The kinds of live sessions. A new kind is one file with its description and one row in session_kinds.c: what is saved and
 * restored follows from the description.
 */
#ifndef SESSION_KIND_H
#define SESSION_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "pg.h"
#include "uuid.h"

#define SESSION_KINDS_MAX 8
#define SESSION_KEYS_MAX 2

struct session_kind {
	const char *name;  /* also the state of a character who is in such a session */
	const char *field; /* of ac:{id}: which session */
	/* Where such a session may live: a prefix, then the session id. It is restored where it was found. */
	const char *key_prefixes[SESSION_KEYS_MAX];
	size_t n_key_prefixes;
	/*
	 * Sets over[i] for those of the n sessions that are known to be finished, which are neither saved nor restored; asked within
	 * an open transaction. 0/-1 as pg_sync. NULL: such a session is over when its key is gone.
	 */
	int (*find_finished)(struct pg *pg, const struct uuid *ids, size_t n, bool *over, struct error *err);
};

/* Static data, for any thread. */
extern const struct session_kind *const session_kinds[];
extern const size_t n_session_kinds;

/* The prefix that is stored with a snapshot, as this kind's own constant; the first one for NULL or an unknown one. Any thread. */
const char *session_key_prefix(const struct session_kind *kind, const char *stored);

#endif

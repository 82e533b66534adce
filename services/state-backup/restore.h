/*
 * Rebuilding caches from the database, any number at a time. The rows are locked while they are read and until the caches stand, so
 * no save comes in between; and a ticket in Redis, shorter-lived than the locks, refuses every write of a worker that slept past them or
 * of one that read before Redis was emptied.
 */
#ifndef RESTORE_H
#define RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "session_kind.h"

/* Sessions of PostgreSQL end by themselves when they sleep in a transaction for this long: twice TICKET_MS, and some more. */
#define IDLE_IN_TRANSACTION_MS 5000

enum restored {
	RESTORE_PENDING,
	RESTORED,
	RESTORE_LIVE,	    /* the cache is live and was left as it is */
	RESTORE_UNKNOWN,    /* there is no such character */
	RESTORE_UNREADABLE, /* the key is no hash; only .force replaces it */
	RESTORE_LOCKED	    /* somebody else held the row for too long */
};

struct restore {
	int64_t char_id;
	bool force;
	const char *
		repeat_id; /* of a command that may come again: it is told that it restored, for ten minutes; or NULL */
	enum restored outcome;
	const char *state;			 /* RESTORED, RESTORE_LIVE; in the scratch, as is all below */
	const char *sessions[SESSION_KINDS_MAX]; /* NULL: none */
	const char *problem;
};

/*
 * Restores each item's character; items are sorted by char_id and distinct, their outcome RESTORE_PENDING. Rows that others hold are
 * tried again for LOCKED_FOR_MS. 0 and every outcome, or -1 with either store's error: then those that are no longer pending nor locked
 * are done. The caller's thread, whose pg and kv these are.
 */
int restore_characters(
	struct pg *pg, struct kv *kv, struct restore *items, size_t n, struct scratch *scratch, struct error *err);

#endif

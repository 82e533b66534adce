/*
 * Saving caches, any number at a time. The order is the fence: the rows are locked, only then the caches are read, and the locks
 * are held until what was read is committed. So whoever commits later has read later, whatever dies or sleeps in between.
 */
#ifndef BACKUP_H
#define BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kv.h"
#include "pg.h"
#include "scratch.h"
#include "session_kind.h"
#include "uuid.h"

enum saved {
	SAVED,
	SAVED_NOTHING,	  /* there is no cache */
	SAVED_UNKNOWN,	  /* there is no such character; .cached says whether there is a cache */
	SAVED_UNREADABLE, /* .problem says why; nothing of it was saved */
	SAVED_LOCKED	  /* somebody else holds the row */
};

struct backup {
	int64_t char_id;
	enum saved outcome;
	bool cached;
	const char *problem;			 /* in the scratch */
	struct uuid sessions[SESSION_KINDS_MAX]; /* saved ones; nil: none */
};

/*
 * Saves each item's character, in one transaction unless one of them cannot be stored; items are sorted by char_id and distinct.
 * Rows that others hold are left out (SAVED_LOCKED), not waited for. 0 and every outcome, or -1 with either store's error: then
 * some may be saved, which does no harm to do again. The caller's thread, whose pg and kv these are.
 */
int backup_characters(
	struct pg *pg, struct kv *kv, struct backup *items, size_t n, struct scratch *scratch, struct error *err);

#endif

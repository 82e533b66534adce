/* One session of one character, on its way between Redis and session_snapshots. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg.h"
#include "scratch.h"
#include "session_kind.h"
#include "uuid.h"

/* Sessions in memory at once: their size is their services' affair. */
#define SESSION_CHUNK 64

struct session {
	int64_t char_id;
	size_t kind; /* index in session_kinds */
	struct uuid id;
	const char *key_id;  /* the id as the cache spells it, for saving */
	bool over;	     /* known to be finished */
	bool there;	     /* saved, or live after restoring */
	bool gone;	     /* saving: the cache names it and nothing lives under its key, so it has ended */
	const char *problem; /* saving: what makes it unreadable */
};

/* Sets .over. Within an open transaction. 0/-1 as pg_sync. */
int sessions_find_finished(struct pg *pg, struct session *sessions, size_t n, struct error *err);

/* Queue one statement: these characters are in no other sessions than the given ones that are neither over nor gone. */
void sessions_queue_forget(
	struct pg *pg, const int64_t *char_ids, size_t n_chars, const struct session *sessions, size_t n);

/* The key of a session by a prefix of its kind, in scratch. Any thread. */
char *session_key(const char *prefix, const char *id, struct scratch *scratch);

#endif

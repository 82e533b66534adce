/* The one script that makes or fills ac:{id} from the database's columns. */
#ifndef CACHE_WRITE_H
#define CACHE_WRITE_H

#include "cache_store.h"
#include "characters.h"
#include "kv.h"
#include "session.h"

struct cache_write {
	const char *ticket_key; /* see struct ticket */
	const struct character *row;
	const struct session *const *sessions; /* n_session_kinds of them, by kind; NULL for none */
	bool force;			       /* replace what is there */
	const char *repeat_id;		       /* left beside the cache when it was written; NULL: none */
};

/*
 * Queue it. Its one answer is an array: "restored", or "live" where nothing was done, 1 if the state had to become idle, the state, and
 * the session id of each kind or ""; or only "stale" when the ticket is gone, or "unreadable" when the key is no hash.
 */
void cache_queue_write(struct kv *kv, const struct cache_write *write);

/* Where repeat_id is left; into buffer, which is returned. Any thread. */
char *cache_repeat_key(int64_t char_id, char buffer[static CACHE_KEY_MAX]);

#endif

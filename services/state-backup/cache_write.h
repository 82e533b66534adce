/* The one script that makes or fills ac:{id} from the database's columns, of some characters in one call. */
#ifndef CACHE_WRITE_H
#define CACHE_WRITE_H

#include "cache_store.h"
#include "characters.h"
#include "kv.h"
#include "session.h"

/* In one call: enough to share out what a call costs, few enough that Redis serves others in between. */
#define CACHE_WRITES_MAX 32

struct cache_write {
	const struct character *row;
	const struct session *const *sessions; /* n_session_kinds of them, by kind; NULL for none */
	bool force;			       /* replace what is there */
};

/*
 * Queue them; see struct ticket for the key. With repeat_id, those restored are noted under it for ten minutes; NULL: they are not. The one
 * answer is what cache_write.lua says. The connection's thread.
 */
void cache_queue_writes(
	struct kv *kv, const char *ticket_key, const char *repeat_id, const struct cache_write *writes, size_t n);

/* A session's id as the cache spells it, in scratch. Any thread. */
const char *cache_session_id(const struct session *session, struct scratch *scratch);

/* Queue the question whether the command repeat_id has restored a character; the answer is 1 or 0. The connection's thread. */
void cache_queue_repeated(struct kv *kv, const char *repeat_id, int64_t char_id);

#endif

/* ac:{id} in Redis. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H

#include <stdint.h>

#include "kv.h"
#include "snapshot.h"

#define CACHE_KEY_MAX 48

/* The key of a character's cache into buffer; returns buffer. Any thread. */
char *cache_key(int64_t char_id, char buffer[static CACHE_KEY_MAX]);

/* Queue a question how many of these characters' caches are there: one command, one answer. */
void cache_queue_count(struct kv *kv, const int64_t *char_ids, size_t n, struct scratch *scratch);

/* Queue the reading of one character's cache: one command, one answer. */
void cache_queue_read(struct kv *kv, int64_t char_id);

/* That answer's fields, as long as it lives. NULL, or why it has none (the key is no hash), as long as the answer lives. */
const char *cache_take(const struct kv_answer *answer, struct cache *cache);

#endif

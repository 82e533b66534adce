#include "cache_store.h"

#include <stdio.h>
#include <string.h>

char *cache_key(int64_t char_id, char buffer[static CACHE_KEY_MAX])
{
	snprintf(buffer, CACHE_KEY_MAX, "ac:%lld", (long long)char_id);
	return buffer;
}

void cache_queue_count(struct kv *kv, const int64_t *char_ids, size_t n, struct scratch *scratch)
{
	const char **arguments = scratch_array(scratch, n + 1, sizeof(*arguments));
	arguments[0] = "EXISTS";
	for (size_t i = 0; i < n; i++)
		arguments[i + 1] = cache_key(char_ids[i], scratch_alloc(scratch, CACHE_KEY_MAX));
	kv_queue_args(kv, n + 1, arguments, NULL);
}

void cache_queue_read(struct kv *kv, int64_t char_id)
{
	char key[CACHE_KEY_MAX];
	const char *arguments[2 + CACHE_FIELDS + SESSION_KINDS_MAX] = { "HMGET", cache_key(char_id, key) };
	size_t n = 2;
	for (size_t field = 0; field < CACHE_FIELDS; field++)
		arguments[n++] = cache_field_names[field];
	for (size_t kind = 0; kind < n_session_kinds; kind++)
		arguments[n++] = session_kinds[kind]->field;
	kv_queue_args(kv, n, arguments, NULL);
}

const char *cache_take(const struct kv_answer *answer, struct cache *cache)
{
	memset(cache, 0, sizeof(*cache));
	if (kv_kind(answer) == KV_ERROR)
		return kv_string(answer, NULL);
	for (size_t field = 0; field < CACHE_FIELDS; field++)
		cache->fields[field].at = kv_string(kv_item(answer, field), &cache->fields[field].len);
	for (size_t kind = 0; kind < n_session_kinds; kind++)
		cache->sessions[kind].at = kv_string(kv_item(answer, CACHE_FIELDS + kind), &cache->sessions[kind].len);
	return NULL;
}

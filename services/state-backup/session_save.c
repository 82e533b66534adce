#include "session_save.h"

#include <string.h>

#include "cache_store.h"
#include "payload.h"

/*
 * Everything about one session at one moment. KEYS: the character's cache, where the session may live. ARGV: the cache's field that names
 * it, its id. One that is nowhere is gone only if the cache names it still: else Redis was emptied since the cache was read.
 */
static const struct kv_script read_session = {
	.name = "read_session",
	.lua = "for i = 2, #KEYS do\n"
	       "  local key = KEYS[i]\n"
	       "  local kind = redis.call('TYPE', key).ok\n"
	       "  if kind ~= 'none' then\n"
	       "    local time = redis.call('TIME')\n"
	       "    local value = false\n"
	       "    if kind == 'string' then value = redis.call('GET', key) end\n"
	       "    if kind == 'hash' then value = redis.call('HGETALL', key) end\n"
	       "    return {i - 1, kind, redis.call('PTTL', key), time[1], time[2], value}\n"
	       "  end\n"
	       "end\n"
	       "return {0, redis.pcall('HGET', KEYS[1], ARGV[1]) == ARGV[2] and 1 or 0}\n",
};

static const struct pg_statement save_sessions = {
	"save_sessions",
	"INSERT INTO session_snapshots "
	"(kind, session_id, character_id, storage, payload, key_prefix, expires_at, read_at, saved_at) "
	"SELECT d.kind, d.session_id, d.character_id, d.storage, d.payload, d.key_prefix, "
	"CASE WHEN d.ttl_ms >= 0 THEN statement_timestamp() + d.ttl_ms * interval '1 millisecond' END, d.read_at, "
	"now() "
	"FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::bytea[], $6::text[], $7::bigint[], "
	"$8::timestamptz[]) AS d (kind, session_id, character_id, storage, payload, key_prefix, ttl_ms, read_at) "
	"ON CONFLICT (kind, session_id, character_id) DO UPDATE SET storage = excluded.storage, payload = "
	"excluded.payload, "
	"key_prefix = excluded.key_prefix, expires_at = excluded.expires_at, read_at = excluded.read_at, "
	"saved_at = excluded.saved_at",
};

/* The rows of one chunk, column by column. */
struct rows_to_save {
	size_t n;
	const char *kinds[SESSION_CHUNK], *storages[SESSION_CHUNK], *prefixes[SESSION_CHUNK];
	struct uuid ids[SESSION_CHUNK];
	int64_t char_ids[SESSION_CHUNK], ttls_ms[SESSION_CHUNK], read_at_us[SESSION_CHUNK];
	const void *payloads[SESSION_CHUNK];
	size_t lens[SESSION_CHUNK];
	struct text hashes[SESSION_CHUNK]; /* what payloads of hashes point at */
};

static void release_rows(struct rows_to_save *rows)
{
	for (size_t i = 0; i < SESSION_CHUNK; i++)
		text_release(&rows->hashes[i]);
}

static void queue_reads(struct kv *kv, const struct session *sessions, size_t n, struct scratch *scratch)
{
	for (size_t i = 0; i < n; i++) {
		const struct session_kind *kind = session_kinds[sessions[i].kind];
		const char *words[SESSION_KEYS_MAX + 3];
		char cache[CACHE_KEY_MAX];
		size_t n_words = 0;
		words[n_words++] = cache_key(sessions[i].char_id, cache);
		for (size_t k = 0; k < kind->n_key_prefixes; k++)
			words[n_words++] = session_key(kind->key_prefixes[k], sessions[i].key_id, scratch);
		words[n_words++] = kind->field;
		words[n_words++] = sessions[i].key_id;
		kv_queue_script(kv, &read_session, n_words - 2, n_words, words, NULL);
	}
}

/* The payload of row n; NULL storage when it is of a type that no session has. */
static void take_payload(struct rows_to_save *rows, const char *type, const struct kv_answer *value)
{
	const size_t n = rows->n;
	rows->storages[n] = NULL;
	if (!strcmp(type, "string")) {
		rows->storages[n] = "string";
		rows->payloads[n] = kv_string(value, &rows->lens[n]);
	} else if (!strcmp(type, "hash")) {
		rows->storages[n] = "hash";
		for (size_t i = 0; i < kv_length(value); i++) {
			size_t len = 0;
			const char *part = kv_string(kv_item(value, i), &len);
			payload_add(&rows->hashes[n], part, len);
		}
		rows->payloads[n] = rows->hashes[n].bytes;
		rows->lens[n] = rows->hashes[n].len;
	}
}

static void take_session(
	struct rows_to_save *rows, struct session *session, const struct kv_answer *answer, struct scratch *scratch)
{
	const struct session_kind *kind = session_kinds[session->kind];
	const int64_t place = kv_kind(answer) == KV_ARRAY ? kv_integer(kv_item(answer, 0), 0) : 0;
	if (kv_kind(answer) == KV_ERROR)
		session->problem = scratch_printf(scratch, "%s: %s", kind->field, kv_string(answer, NULL));
	session->gone = kv_kind(answer) == KV_ARRAY && !place && kv_integer(kv_item(answer, 1), 0) == 1;
	if (place < 1)
		return;
	const char *type = kv_string(kv_item(answer, 1), NULL);
	const size_t n = rows->n;
	take_payload(rows, type, kv_item(answer, 5));
	if (!rows->storages[n]) {
		session->problem = scratch_printf(scratch, "%s%s is a %s: neither a string nor a hash",
			kind->key_prefixes[place - 1], session->key_id, type);
		return;
	}
	rows->kinds[n] = kind->name;
	rows->ids[n] = session->id;
	rows->char_ids[n] = session->char_id;
	rows->prefixes[n] = kind->key_prefixes[place - 1];
	rows->ttls_ms[n] = kv_integer(kv_item(answer, 2), -1);
	rows->read_at_us[n] = kv_integer(kv_item(answer, 3), 0) * 1000000 + kv_integer(kv_item(answer, 4), 0);
	rows->n++;
	session->there = true;
}

static int write_rows(struct pg *pg, const struct rows_to_save *rows, struct error *err)
{
	struct pg_params params = { 0 };
	pg_add_text_array(&params, rows->kinds, rows->n);
	pg_add_uuid_array(&params, rows->ids, rows->n);
	pg_add_int8_array(&params, rows->char_ids, rows->n);
	pg_add_text_array(&params, rows->storages, rows->n);
	pg_add_bytea_array(&params, rows->payloads, rows->lens, rows->n);
	pg_add_text_array(&params, rows->prefixes, rows->n);
	pg_add_int8_array(&params, rows->ttls_ms, rows->n);
	pg_add_timestamptz_array(&params, rows->read_at_us, rows->n);
	return pg_query(pg, &save_sessions, &params, NULL, err);
}

static int save_chunk(
	struct pg *pg, struct kv *kv, struct session **sessions, size_t n, struct scratch *scratch, struct error *err)
{
	for (size_t i = 0; i < n; i++)
		queue_reads(kv, sessions[i], 1, scratch);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(kv, &answers, err))
		return -1;
	CLEANUP(release_rows) struct rows_to_save rows = { 0 };
	for (size_t i = 0; i < n; i++)
		take_session(&rows, sessions[i], kv_at(&answers, i), scratch);
	return rows.n ? write_rows(pg, &rows, err) : 0;
}

int sessions_save(
	struct pg *pg, struct kv *kv, struct session *sessions, size_t n, struct scratch *scratch, struct error *err)
{
	struct session *chunk[SESSION_CHUNK];
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		if (!sessions[i].over)
			chunk[m++] = &sessions[i];
		if (m == SESSION_CHUNK || (m && i + 1 == n)) {
			if (save_chunk(pg, kv, chunk, m, scratch, err))
				return -1;
			m = 0;
		}
	}
	return 0;
}

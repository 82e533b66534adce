#include "session_restore.h"

#include <stdio.h>
#include <string.h>

#include "payload.h"

static const struct pg_statement last_sessions = {
	"last_sessions",
	"SELECT DISTINCT ON (character_id, kind) character_id, kind, session_id FROM session_snapshots "
	"WHERE character_id = ANY ($1::bigint[]) ORDER BY character_id, kind, saved_at DESC",
};

static size_t kind_by_name(const char *name)
{
	size_t kind = 0;
	while (kind < n_session_kinds && strcmp(session_kinds[kind]->name, name))
		kind++;
	return kind;
}

int sessions_of(struct pg *pg, const int64_t *char_ids, size_t n_chars, struct scratch *scratch,
	struct session **sessions, size_t *n, struct error *err)
{
	struct pg_params params = { 0 };
	pg_add_int8_array(&params, char_ids, n_chars);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	if (pg_query(pg, &last_sessions, &params, &rows, err))
		return -1;
	struct session *found = scratch_array(scratch, (size_t)rows.n + 1, sizeof(*found));
	size_t m = 0;
	for (int row = 0; row < rows.n; row++) {
		const size_t kind = kind_by_name(pg_text(&rows, row, 1, NULL));
		if (kind < n_session_kinds) /* else of a kind that is no more */
			found[m++] = (struct session){
				.char_id = pg_int(&rows, row, 0), .kind = kind, .id = pg_uuid(&rows, row, 2)
			};
	}
	*sessions = found;
	*n = m;
	return 0;
}

void ticket_queue(struct kv *kv, struct ticket *ticket)
{
	const struct uuid random = uuid_random();
	char text[UUID_TEXT_MAX];
	snprintf(ticket->key, sizeof(ticket->key), "restore:ticket:%s", uuid_format(&random, text));
	kv_queue(kv, "SET %s 1 PX %d", ticket->key, TICKET_MS);
}

/* KEYS: ticket, the places where the session may live. ARGV: ticket's lifetime, place to write, storage, ttl, parts… */
static const struct kv_script write_session = {
	.name = "write_session",
	.lua = "if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then return -1 end\n"
	       "for i = 2, #KEYS do\n"
	       "  if redis.call('EXISTS', KEYS[i]) == 1 then return 1 end\n"
	       "end\n"
	       "local key = ARGV[2]\n"
	       "if ARGV[3] == 'none' then return 0 end\n"
	       "if ARGV[3] == 'string' then redis.call('SET', key, ARGV[5]) end\n"
	       "if ARGV[3] == 'hash' then\n"
	       "  for first = 5, #ARGV, 2000 do\n"
	       "    redis.call('HSET', key, unpack(ARGV, first, math.min(first + 1999, #ARGV)))\n"
	       "  end\n"
	       "end\n"
	       "if tonumber(ARGV[4]) > 0 then redis.call('PEXPIRE', key, ARGV[4]) end\n"
	       "return 1\n",
};

/* Of the copies of a session the newest; ttl_ms is null for ever, below 1 when it has ended by itself. */
static const struct pg_statement newest_copies = {
	"newest_session_copies",
	"SELECT d.i, s.storage, s.payload, s.key_prefix, "
	"floor(extract(epoch FROM s.expires_at - clock_timestamp()) * 1000)::bigint "
	"FROM unnest($1::int[], $2::text[], $3::uuid[]) AS d (i, kind, session_id) CROSS JOIN LATERAL "
	"(SELECT * FROM session_snapshots o WHERE o.kind = d.kind AND o.session_id = d.session_id "
	"ORDER BY o.read_at DESC LIMIT 1) s",
};

/* What to write for one session. */
struct copy {
	const char *storage; /* NULL: nothing to write */
	const char *prefix;
	struct bytes *parts;
	size_t n_parts;
	int64_t ttl_ms; /* 0: for ever */
};

static struct copy read_copy(
	const struct pg_rows *rows, int row, const struct session_kind *kind, struct scratch *scratch)
{
	struct copy copy = { .prefix = session_key_prefix(kind, pg_text(rows, row, 3, NULL)) };
	struct bytes payload = { 0 };
	payload.at = pg_text(rows, row, 2, &payload.len);
	copy.ttl_ms = pg_is_null(rows, row, 4) ? 0 : pg_int(rows, row, 4);
	if (!payload.at || (!pg_is_null(rows, row, 4) && copy.ttl_ms < 1))
		return copy;
	const char *storage = pg_text(rows, row, 1, NULL);
	if (!strcmp(storage, "string")) {
		copy.parts = scratch_alloc(scratch, sizeof(*copy.parts));
		copy.parts[0] = payload;
		copy.n_parts = 1;
		copy.storage = "string";
	} else if (!payload_split(payload.at, payload.len, scratch, &copy.parts, &copy.n_parts)) {
		copy.storage = "hash";
	}
	return copy;
}

static void queue_write(struct kv *kv, const struct ticket *ticket, const struct session *session,
	const struct copy *copy, struct scratch *scratch)
{
	const struct session_kind *kind = session_kinds[session->kind];
	const size_t n_keys = 1 + kind->n_key_prefixes, n = n_keys + 4 + copy->n_parts;
	const char **arguments = scratch_array(scratch, n, sizeof(*arguments));
	size_t *lens = scratch_array(scratch, n, sizeof(*lens));
	char id[UUID_TEXT_MAX];
	uuid_format(&session->id, id);
	size_t at = 0;
	arguments[at++] = ticket->key;
	for (size_t i = 0; i < kind->n_key_prefixes; i++)
		arguments[at++] = session_key(kind->key_prefixes[i], id, scratch);
	arguments[at++] = scratch_printf(scratch, "%d", TICKET_MS);
	arguments[at++] = session_key(copy->prefix ? copy->prefix : kind->key_prefixes[0], id, scratch);
	arguments[at++] = copy->storage ? copy->storage : "none";
	arguments[at++] = scratch_printf(scratch, "%lld", (long long)copy->ttl_ms);
	for (size_t i = 0; i < at; i++)
		lens[i] = strlen(arguments[i]);
	for (size_t i = 0; i < copy->n_parts; i++, at++) {
		arguments[at] = copy->parts[i].at;
		lens[at] = copy->parts[i].len;
	}
	kv_queue_script(kv, &write_session, n_keys, n, arguments, lens);
}

static int read_copies(
	struct pg *pg, struct session *const *sessions, size_t n, struct pg_rows *rows, struct error *err)
{
	int32_t places[SESSION_CHUNK];
	const char *kinds[SESSION_CHUNK];
	struct uuid ids[SESSION_CHUNK];
	for (size_t i = 0; i < n; i++) {
		places[i] = (int32_t)i;
		kinds[i] = session_kinds[sessions[i]->kind]->name;
		ids[i] = sessions[i]->id;
	}
	struct pg_params params = { 0 };
	pg_add_int4_array(&params, places, n);
	pg_add_text_array(&params, kinds, n);
	pg_add_uuid_array(&params, ids, n);
	return pg_query(pg, &newest_copies, &params, rows, err);
}

static int restore_chunk(struct pg *pg, struct kv *kv, const struct ticket *ticket, struct session *const *sessions,
	size_t n, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	if (read_copies(pg, sessions, n, &rows, err))
		return -1;
	/* As large as the sessions are: a cap would lose one. */
	CLEANUP(scratch_release) struct scratch work;
	scratch_init(&work, SIZE_MAX);
	struct copy copies[SESSION_CHUNK] = { { 0 } };
	for (int row = 0; row < rows.n; row++) {
		const size_t i = (size_t)pg_int(&rows, row, 0);
		copies[i] = read_copy(&rows, row, session_kinds[sessions[i]->kind], &work);
	}
	for (size_t i = 0; i < n; i++)
		queue_write(kv, ticket, sessions[i], &copies[i], &work);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(kv, &answers, err) || kv_check(&answers, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		const int64_t verdict = kv_integer(kv_at(&answers, i), -1);
		if (verdict < 0)
			return error_set(err, CODE_CONFLICT, "the ticket is gone");
		sessions[i]->there = verdict == 1;
	}
	return 0;
}

int sessions_restore(struct pg *pg, struct kv *kv, const struct ticket *ticket, struct session *sessions, size_t n,
	struct error *err)
{
	struct session *chunk[SESSION_CHUNK];
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		if (!sessions[i].over)
			chunk[m++] = &sessions[i];
		if (m == SESSION_CHUNK || (m && i + 1 == n)) {
			if (restore_chunk(pg, kv, ticket, chunk, m, err))
				return -1;
			m = 0;
		}
	}
	return 0;
}

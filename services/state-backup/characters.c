#include "characters.h"

#include <stdlib.h>
#include <string.h>

static const struct pg_statement lock_free = {
	"lock_free_characters",
	"SELECT id FROM characters WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
};
static const struct pg_statement exist = {
	"existing_characters",
	"SELECT id FROM characters WHERE id = ANY ($1::bigint[])",
};
/* A statement of its own: it sees what was committed before the lock was had. */
static const struct pg_statement read_columns = {
	"read_characters",
	"SELECT c.id, c.game_stage, c.location_id, c.prev_location_id, c.name, c.gender, c.created_at, c.vitals, "
	"c.last_combat_session_id, s.stats FROM characters c LEFT JOIN character_stats s ON s.character_id = c.id "
	"WHERE c.id = ANY ($1::bigint[])",
};

static int compare_ids(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void mark_found(const struct pg_rows *rows, const int64_t *ids, size_t n, bool *found)
{
	memset(found, 0, n * sizeof(*found));
	for (int row = 0; row < rows->n; row++) {
		const int64_t id = pg_int(rows, row, 0);
		const int64_t *at = bsearch(&id, ids, n, sizeof(*ids), compare_ids);
		if (at)
			found[at - ids] = true;
	}
}

static struct pg_params ids_param(const int64_t *ids, size_t n)
{
	struct pg_params params = { 0 };
	pg_add_int8_array(&params, ids, n);
	return params;
}

int characters_lock(
	struct pg *pg, const int64_t *ids, size_t n, bool *found, struct pg_rows *columns, struct error *err)
{
	struct pg_params to_lock = ids_param(ids, n);
	pg_begin(pg);
	pg_queue(pg, &lock_free, &to_lock);
	if (columns) {
		struct pg_params to_read = ids_param(ids, n);
		pg_queue(pg, &read_columns, &to_read);
	}
	struct pg_rows results[2] = { { 0 }, { 0 } };
	if (pg_sync(pg, results, columns ? 2 : 1, err))
		return -1;
	mark_found(&results[0], ids, n, found);
	pg_rows_release(&results[0]);
	if (columns)
		*columns = results[1];
	return 0;
}

int characters_exist(struct pg *pg, const int64_t *ids, size_t n, bool *exists, struct error *err)
{
	struct pg_params params = ids_param(ids, n);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	if (pg_query(pg, &exist, &params, &rows, err))
		return -1;
	mark_found(&rows, ids, n, exists);
	return 0;
}

static struct bytes text_column(const struct pg_rows *rows, int row, int column)
{
	struct bytes value = { 0 };
	value.at = pg_text(rows, row, column, &value.len);
	return value;
}

struct character characters_row(const struct pg_rows *columns, int row)
{
	struct character character = {
		.id = pg_int(columns, row, 0),
		.game_stage = pg_text(columns, row, 1, NULL),
		.location_id = pg_text(columns, row, 2, NULL),
		.prev_location_id = pg_text(columns, row, 3, NULL),
		.name = pg_text(columns, row, 4, NULL),
		.gender = pg_text(columns, row, 5, NULL),
		.created_at_us = pg_timestamptz(columns, row, 6),
		.vitals = text_column(columns, row, 7),
		.has_last_combat = !pg_is_null(columns, row, 8),
		.stats = text_column(columns, row, 9),
	};
	if (character.has_last_combat)
		character.last_combat = pg_uuid(columns, row, 8);
	return character;
}

/*
 * last_combat_session_id belongs to the database and is only filled where it has none, without a date: a settlement dates it by its
 * history. The database's microseconds of created_at are kept where the cache's milliseconds say the same.
 */
static const struct pg_statement save_columns = {
	"save_characters",
	"UPDATE characters c SET game_stage = coalesce(d.stage, c.game_stage), "
	"location_id = CASE WHEN d.has_current THEN d.current ELSE c.location_id END, "
	"prev_location_id = CASE WHEN d.has_prev THEN d.prev ELSE c.prev_location_id END, "
	"name = coalesce(d.name, c.name), gender = coalesce(d.gender, c.gender), "
	"created_at = CASE WHEN d.created_at IN ('epoch', date_trunc('milliseconds', c.created_at)) "
	"THEN c.created_at ELSE d.created_at END, "
	"vitals = coalesce(d.vitals, c.vitals), "
	"last_combat_session_id = coalesce(c.last_combat_session_id, nullif(d.last_combat, "
	"'00000000-0000-0000-0000-000000000000')), "
	"updated_at = now() "
	"FROM unnest($1::bigint[], $2::text[], $3::bool[], $4::text[], $5::bool[], $6::text[], $7::text[], $8::text[], "
	"$9::timestamptz[], $10::jsonb[], $11::uuid[]) "
	"AS d (id, stage, has_current, current, has_prev, prev, name, gender, created_at, vitals, last_combat) "
	"WHERE c.id = d.id",
};
static const struct pg_statement save_stats = {
	"save_character_stats",
	"INSERT INTO character_stats (character_id, stats) SELECT * FROM unnest($1::bigint[], $2::jsonb[]) "
	"ON CONFLICT (character_id) DO UPDATE SET stats = excluded.stats",
};

/* The same member of every snapshot as one array parameter; the member lies at offset. */
static void add_texts(struct pg_params *params, const struct snapshot *const *snapshots, size_t n, size_t offset)
{
	CLEANUP(release_memory) const char **values = must_alloc((n + 1) * sizeof(*values));
	for (size_t i = 0; i < n; i++)
		values[i] = *(const char *const *)((const char *)snapshots[i] + offset);
	pg_add_text_array(params, values, n);
}

static void add_bools(struct pg_params *params, const struct snapshot *const *snapshots, size_t n, size_t offset)
{
	CLEANUP(release_memory) bool *values = must_alloc((n + 1) * sizeof(*values));
	for (size_t i = 0; i < n; i++)
		values[i] = *(const bool *)((const char *)snapshots[i] + offset);
	pg_add_bool_array(params, values, n);
}

static void add_ids(struct pg_params *params, const struct snapshot *const *snapshots, size_t n)
{
	CLEANUP(release_memory) int64_t *values = must_alloc((n + 1) * sizeof(*values));
	for (size_t i = 0; i < n; i++)
		values[i] = snapshots[i]->char_id;
	pg_add_int8_array(params, values, n);
}

static void add_documents(struct pg_params *params, const struct snapshot *const *snapshots, size_t n, size_t offset)
{
	CLEANUP(release_memory) const char **values = must_alloc((n + 1) * sizeof(*values));
	CLEANUP(release_memory) size_t *lens = must_alloc((n + 1) * sizeof(*lens));
	for (size_t i = 0; i < n; i++) {
		const struct bytes *document = (const void *)((const char *)snapshots[i] + offset);
		values[i] = document->at;
		lens[i] = document->len;
	}
	pg_add_jsonb_array(params, values, lens, n);
}

static void queue_columns(struct pg *pg, const struct snapshot *const *snapshots, size_t n)
{
	CLEANUP(release_memory) int64_t *created_at = must_alloc((n + 1) * sizeof(*created_at));
	CLEANUP(release_memory) struct uuid *last_combat = must_alloc((n + 1) * sizeof(*last_combat));
	for (size_t i = 0; i < n; i++) {
		created_at[i] = snapshots[i]->created_at_us;
		last_combat[i] = snapshots[i]->last_combat;
	}
	struct pg_params params = { 0 };
	add_ids(&params, snapshots, n);
	add_texts(&params, snapshots, n, offsetof(struct snapshot, state));
	add_bools(&params, snapshots, n, offsetof(struct snapshot, has_current));
	add_texts(&params, snapshots, n, offsetof(struct snapshot, current));
	add_bools(&params, snapshots, n, offsetof(struct snapshot, has_prev));
	add_texts(&params, snapshots, n, offsetof(struct snapshot, prev));
	add_texts(&params, snapshots, n, offsetof(struct snapshot, name));
	add_texts(&params, snapshots, n, offsetof(struct snapshot, gender));
	pg_add_timestamptz_array(&params, created_at, n);
	add_documents(&params, snapshots, n, offsetof(struct snapshot, vitals));
	pg_add_uuid_array(&params, last_combat, n);
	pg_queue(pg, &save_columns, &params);
}

void characters_queue_save(struct pg *pg, const struct snapshot *const *snapshots, size_t n)
{
	queue_columns(pg, snapshots, n);
	CLEANUP(release_memory)
	const struct snapshot **with_stats = must_alloc((n + 1) * sizeof(const struct snapshot *));
	size_t m = 0;
	for (size_t i = 0; i < n; i++)
		if (snapshots[i]->stats.at)
			with_stats[m++] = snapshots[i];
	struct pg_params params = { 0 };
	add_ids(&params, with_stats, m);
	add_documents(&params, with_stats, m, offsetof(struct snapshot, stats));
	pg_queue(pg, &save_stats, &params);
}

static const struct pg_statement make_idle = {
	"make_characters_idle",
	"UPDATE characters SET game_stage = 'idle', updated_at = now() "
	"WHERE id = ANY ($1::bigint[]) AND game_stage <> 'idle'",
};

void characters_queue_idle(struct pg *pg, const int64_t *ids, size_t n)
{
	struct pg_params params = ids_param(ids, n);
	pg_queue(pg, &make_idle, &params);
}

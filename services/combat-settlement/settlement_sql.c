#include "settlement_sql.h"

#include "common/json.h"

/*
 * With idempotency switched off, in a build for the one test that must then fail, a fight is claimed however often it comes.
 */
#ifdef GARRISON_TEST_SETTLE_EVERY_TIME
#define UNLESS_SETTLED ""
#else
#define UNLESS_SETTLED "WHERE h.settlement_status IN ('failed', 'pending') AND h.doc_hash = excluded.doc_hash "
#endif

/* ---- the history ---- */

static void add_history(struct pg_params *params, const struct history_row *rows, size_t n)
{
	struct uuid *sessions CLEANUP(release_memory) = must_alloc(n * sizeof(*sessions));
	const char **texts CLEANUP(release_memory) = must_alloc(n * sizeof(*texts));
	int64_t *times CLEANUP(release_memory) = must_alloc(n * sizeof(*times));
	size_t *lens CLEANUP(release_memory) = must_alloc(n * sizeof(*lens));

	for (size_t i = 0; i < n; i++) {
		sessions[i] = rows[i].session_id;
		texts[i] = rows[i].participant_ids;
		times[i] = rows[i].finished_at_us;
	}
	pg_add_uuid_array(params, sessions, n);
	pg_add_text_array(params, texts, n);
	pg_add_timestamptz_array(params, times, n);
	for (size_t i = 0; i < n; i++) {
		texts[i] = rows[i].document;
		lens[i] = rows[i].document_len;
	}
	pg_add_jsonb_array(params, texts, lens, n);
	for (size_t i = 0; i < n; i++) {
		texts[i] = (const char *)rows[i].digest;
		lens[i] = JSON_DIGEST_LEN;
	}
	pg_add_bytea_array(params, (const void *const *)texts, lens, n);
}

static const struct pg_statement claim = {
	"settle_claim",
	"INSERT INTO combat_history AS h (session_id, participant_ids, finished_at, settlement_status, result_payload, "
	"doc_hash, settled_at) "
	"SELECT d.session_id, d.ids::bigint[], d.finished_at, 'processed', d.document, d.hash, now() "
	"FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::bytea[]) "
	"AS d (session_id, ids, finished_at, document, hash) "
	"ON CONFLICT (session_id) DO UPDATE SET settlement_status = 'processed', failure = NULL, settled_at = "
	"now() " UNLESS_SETTLED "RETURNING h.session_id",
};

void sql_claim(struct pg *pg, const struct history_row *rows, size_t n)
{
	struct pg_params params = { 0 };

	add_history(&params, rows, n);
	pg_queue(pg, &claim, &params);
}

static const struct pg_statement recognise = {
	"settle_recognise",
	"SELECT session_id, settlement_status, doc_hash, shortfalls, "
	"CASE WHEN doc_hash IS NULL THEN result_payload END "
	"FROM combat_history WHERE session_id = ANY ($1::uuid[])",
};

void sql_recognise(struct pg *pg, const struct uuid *sessions, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_uuid_array(&params, sessions, n);
	pg_queue(pg, &recognise, &params);
}

static const struct pg_statement adopt = {
	"settle_adopt",
	"UPDATE combat_history SET doc_hash = $2 WHERE session_id = $1 AND doc_hash IS NULL",
};

void sql_adopt(struct pg *pg, const struct uuid *session, const unsigned char *digest)
{
	struct pg_params params = { 0 };

	pg_add_uuid(&params, session);
	pg_add_bytea(&params, digest, JSON_DIGEST_LEN);
	pg_queue(pg, &adopt, &params);
}

static const struct pg_statement mark = {
	"settle_mark",
	"INSERT INTO combat_history AS h (session_id, participant_ids, finished_at, settlement_status, result_payload, "
	"doc_hash, failure) "
	"SELECT d.session_id, d.ids::bigint[], d.finished_at, d.status, d.document, d.hash, d.failure "
	"FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::jsonb[], $5::bytea[], $6::text[], $7::text[]) "
	"AS d (session_id, ids, finished_at, document, hash, status, failure) "
	"ON CONFLICT (session_id) DO UPDATE SET settlement_status = excluded.settlement_status, failure = "
	"excluded.failure "
	"WHERE h.settlement_status IN ('failed', 'pending') AND h.doc_hash = excluded.doc_hash",
};

void sql_mark(struct pg *pg, const struct history_row *rows, size_t n)
{
	const char **texts CLEANUP(release_memory) = must_alloc(n * sizeof(*texts));
	struct pg_params params = { 0 };

	add_history(&params, rows, n);
	for (size_t i = 0; i < n; i++)
		texts[i] = rows[i].status;
	pg_add_text_array(&params, texts, n);
	for (size_t i = 0; i < n; i++)
		texts[i] = rows[i].failure;
	pg_add_text_array(&params, texts, n);
	pg_queue(pg, &mark, &params);
}

static const struct pg_statement record_shortfalls = {
	"settle_record_shortfalls",
	"UPDATE combat_history h SET shortfalls = d.shortfalls "
	"FROM unnest($1::uuid[], $2::jsonb[]) AS d (session_id, shortfalls) WHERE h.session_id = d.session_id",
};

void sql_record_shortfalls(
	struct pg *pg, const struct uuid *sessions, const char *const *shortfalls, const size_t *lens, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_uuid_array(&params, sessions, n);
	pg_add_jsonb_array(&params, shortfalls, lens, n);
	pg_queue(pg, &record_shortfalls, &params);
}

/* ---- characters ---- */

/*
 * The last fight, hp and energy are each set by the newest fight that mentions them, in whatever order fights come. Rows by other
 * hands may name a last fight without its end: the history knows it.
 */
#define LAST_BY_OTHERS                                                                                                 \
	"(coalesce((SELECT h.finished_at FROM combat_history h WHERE h.session_id = c.last_combat_session_id), "       \
	"'-infinity'), c.last_combat_session_id)"
#define IS_LAST                                                                                                        \
	"(CASE WHEN c.last_combat_at IS NOT NULL "                                                                     \
	"THEN (d.ended_at, d.session_id) > (c.last_combat_at, c.last_combat_session_id) "                              \
	"WHEN c.last_combat_session_id IS NULL THEN true "                                                             \
	"ELSE (d.ended_at, d.session_id) > " LAST_BY_OTHERS " END)"
#define SETS(name)                                                                                                     \
	"(CASE WHEN d." name " < 0 THEN false WHEN c." name "_set_at IS NOT NULL "                                     \
	"THEN (d." name "_set_at, d." name "_set_by) > (c." name "_set_at, c." name "_set_by) "                        \
	"WHEN c.last_combat_at IS NOT NULL OR c.last_combat_session_id IS NULL THEN true "                             \
	"ELSE (d." name "_set_at, d." name "_set_by) > " LAST_BY_OTHERS " END)"
#define SET_BY(name)                                                                                                   \
	name "_set_at = CASE WHEN " SETS(name) " THEN d." name "_set_at ELSE c." name "_set_at END, " name             \
					       "_set_by = CASE WHEN " SETS(name) " THEN d." name                       \
										 "_set_by ELSE c." name                \
										 "_set_by END, "
/*
 * What the gauge holds besides stays; one that has no maximum has that of a new character, and what another hand wrote there that is
 * no gauge makes room for one.
 */
#define OBJECT(value, otherwise) "CASE jsonb_typeof(" value ") WHEN 'object' THEN " value " ELSE '" otherwise "' END"
#define GAUGE(name)                                                                                                    \
	"CASE WHEN " SETS(name) " THEN jsonb_build_object('" name "', (" OBJECT("c.vitals -> '" name "'",              \
		"{\"max\": 100}") ") || jsonb_build_object('cur', least(d." name ", coalesce(substring("               \
				  "c.vitals #>> '{" name ",max}' from '^[0-9]{1,18}')::bigint, 100)))) ELSE '{}' END"

/* A character whose snapshot of another, unfinished fight is there has gone on to that one and stays in combat. */
static const struct pg_statement change_characters = {
	"settle_change_characters",
	"UPDATE characters c SET xp = c.xp + d.xp, gold = c.gold + d.gold, "
	"vitals = (" OBJECT("c.vitals", "{}") ") || " GAUGE("hp") " || " GAUGE("energy") ", " SET_BY("hp") SET_BY(
		"energy") "last_combat_session_id = CASE WHEN " IS_LAST
			  " THEN d.session_id ELSE c.last_combat_session_id END, "
			  "last_combat_at = CASE WHEN " IS_LAST " THEN d.ended_at ELSE c.last_combat_at END, "
			  "game_stage = CASE WHEN c.game_stage = 'combat' AND NOT EXISTS (SELECT FROM "
			  "session_snapshots s "
			  "WHERE s.character_id = c.id AND s.kind = 'combat' AND NOT EXISTS (SELECT FROM "
			  "combat_history h "
			  "WHERE h.session_id = s.session_id AND h.settlement_status = 'processed')) THEN 'idle' ELSE "
			  "c.game_stage END, "
			  "updated_at = now() "
			  "FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::uuid[], "
			  "$6::bigint[], "
			  "$7::timestamptz[], $8::uuid[], $9::bigint[], $10::timestamptz[], $11::uuid[]) "
			  "AS d (id, xp, gold, ended_at, session_id, hp, hp_set_at, hp_set_by, energy, energy_set_at, "
			  "energy_set_by) "
			  "WHERE c.id = d.id RETURNING c.id, c.last_combat_session_id, c.hp_set_by, c.energy_set_by, "
			  "c.vitals::text",
};

static void add_newest(struct pg_params *params, const struct newest_rows *rows, size_t n)
{
	pg_add_timestamptz_array(params, rows->ended_us, n);
	pg_add_uuid_array(params, rows->sessions, n);
}

void sql_change_characters(struct pg *pg, const struct character_rows *rows)
{
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, rows->ids, rows->n);
	pg_add_int8_array(&params, rows->xp, rows->n);
	pg_add_int8_array(&params, rows->gold, rows->n);
	add_newest(&params, &rows->last, rows->n);
	pg_add_int8_array(&params, rows->hp, rows->n);
	add_newest(&params, &rows->hp_set, rows->n);
	pg_add_int8_array(&params, rows->energy, rows->n);
	add_newest(&params, &rows->energy_set, rows->n);
	pg_queue(pg, &change_characters, &params);
}

static const struct pg_statement fences = {
	"settle_fences",
	"SELECT id, last_combat_session_id, hp_set_by, energy_set_by, vitals::text FROM characters "
	"WHERE id = ANY ($1::bigint[])",
};

void sql_fences(struct pg *pg, const int64_t *ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, ids, n);
	pg_queue(pg, &fences, &params);
}

static const struct pg_statement forget_snapshots = {
	"settle_forget_snapshots",
	"DELETE FROM session_snapshots WHERE kind = 'combat' AND session_id = ANY ($1::uuid[])",
};

void sql_forget_snapshots(struct pg *pg, const struct uuid *sessions, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_uuid_array(&params, sessions, n);
	pg_queue(pg, &forget_snapshots, &params);
}

/* ---- items ---- */

static const struct pg_statement make_templates = {
	"settle_make_templates",
	"INSERT INTO item_templates (id, name) SELECT d.id, d.id FROM unnest($1::text[]) AS d (id) ON CONFLICT (id) DO "
	"NOTHING",
};

void sql_make_templates(struct pg *pg, const char *const *ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_text_array(&params, ids, n);
	pg_queue(pg, &make_templates, &params);
}

static const struct pg_statement templates = {
	"settle_templates",
	"SELECT id, name, name_en, stackable, max_durability FROM item_templates WHERE id = ANY ($1::text[])",
};

void sql_templates(struct pg *pg, const char *const *ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_text_array(&params, ids, n);
	pg_queue(pg, &templates, &params);
}

static const struct pg_statement take_from_belt = {
	"settle_take_from_belt",
	"UPDATE inventory i SET quantity = i.quantity - d.qty::int "
	"FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[]) WITH ORDINALITY AS d (id, owner, template, "
	"qty, place) "
	"WHERE i.id = d.id AND i.character_id = d.owner AND i.item_template_id = d.template AND i.quantity > 0 "
	"RETURNING d.place, i.id, i.quantity",
};

void sql_take_from_belt(struct pg *pg, const struct belt_rows *rows)
{
	int64_t *qty CLEANUP(release_memory) = must_alloc((rows->n + 1) * sizeof(*qty));
	struct pg_params params = { 0 };

	for (size_t i = 0; i < rows->n; i++)
		qty[i] = rows->qty[i] < TAKEN_MAX ? rows->qty[i] : TAKEN_MAX;
	pg_add_int8_array(&params, rows->inventory_ids, rows->n);
	pg_add_int8_array(&params, rows->owners, rows->n);
	pg_add_text_array(&params, rows->templates, rows->n);
	pg_add_int8_array(&params, qty, rows->n);
	pg_queue(pg, &take_from_belt, &params);
}

static void queue_owned(struct pg *pg, const struct pg_statement *statement, const struct owner_rows *rows)
{
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, rows->owners, rows->n);
	pg_add_text_array(&params, rows->templates, rows->n);
	pg_add_int8_array(&params, rows->qty, rows->n);
	pg_queue(pg, statement, &params);
}

/* A stack that this very transaction has used up is not one to put loot on: it is about to be removed. */
static const struct pg_statement add_to_stacks = {
	"settle_add_to_stacks",
	"UPDATE inventory i SET quantity = i.quantity + d.qty "
	"FROM unnest($1::bigint[], $2::text[], $3::bigint[]) WITH ORDINALITY AS d (owner, template, qty, place) "
	"WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner AND s.item_template_id = "
	"d.template "
	"AND NOT s.is_equipped AND s.quantity > 0) RETURNING d.place",
};

void sql_add_to_stacks(struct pg *pg, const struct owner_rows *rows)
{
	queue_owned(pg, &add_to_stacks, rows);
}

/* An item that was never worn has its template's durability; one of a template without any has none to lose. */
#define DURABILITY "coalesce(i.durability, (SELECT t.max_durability FROM item_templates t WHERE t.id = d.template))"
static const struct pg_statement wear = {
	"settle_wear",
	"UPDATE inventory i SET durability = " DURABILITY " - least(" DURABILITY ", d.loss) "
	"FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS d (owner, template, loss) "
	"WHERE i.id = (SELECT min(s.id) FROM inventory s WHERE s.character_id = d.owner AND s.item_template_id = "
	"d.template "
	"AND s.is_equipped)",
};

void sql_wear(struct pg *pg, const struct owner_rows *rows)
{
	queue_owned(pg, &wear, rows);
}

static const struct pg_statement remove_items = {
	"settle_remove_items",
	"DELETE FROM inventory WHERE id = ANY ($1::bigint[])",
};

void sql_remove_items(struct pg *pg, const int64_t *ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, ids, n);
	pg_queue(pg, &remove_items, &params);
}

static const struct pg_statement insert_items = {
	"settle_insert_items",
	"INSERT INTO inventory (character_id, item_template_id, quantity, durability) "
	"SELECT d.owner, d.template, d.qty, nullif(d.durability, -1) "
	"FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) AS d (owner, template, qty, durability)",
};

void sql_insert_items(struct pg *pg, const struct new_items *items)
{
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, items->owners, items->n);
	pg_add_text_array(&params, items->templates, items->n);
	pg_add_int8_array(&params, items->qty, items->n);
	pg_add_int8_array(&params, items->durability, items->n);
	pg_queue(pg, &insert_items, &params);
}

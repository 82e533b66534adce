/* What the cache keeps of fights that are over, against the history. */
#include <string.h>

#include "audit.h"
#include "json.h"

#define TOMBSTONE_MAX ((size_t)64 << 20)

/* A document's items: what is granted is items_gained, and only where that is absent the report's loot. */
#define GRANTED                                                                                                        \
	"coalesce((SELECT jsonb_agg(jsonb_build_array(i.id, i.qty) ORDER BY i.place) FROM ("                           \
	"SELECT coalesce(nullif(g.v -> 'item_template_id', 'null'), g.v -> 'name') AS id, g.v -> 'qty' AS qty, "       \
	"g.place"                                                                                                      \
	" FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p.value #> '{changes,items_gained}') = 'array'"             \
	"  THEN p.value #> '{changes,items_gained}' WHEN jsonb_typeof(p.value #> '{ui_report,loot_obtained}') = "      \
	"'array'"                                                                                                      \
	"  THEN p.value #> '{ui_report,loot_obtained}' ELSE '[]' END) WITH ORDINALITY g (v, place)) i"                 \
	" WHERE i.id IS NOT NULL), '[]')"
#define REMEMBERED                                                                                                     \
	"coalesce((SELECT jsonb_agg(jsonb_build_array(i.v -> 'item_template_id', i.v -> 'qty') ORDER BY i.place)"      \
	" FROM jsonb_array_elements(CASE WHEN jsonb_typeof(s.v -> 'items_gained') = 'array' THEN s.v -> "              \
	"'items_gained'"                                                                                               \
	" ELSE '[]' END) WITH ORDINALITY i (v, place)), '[]')"

static const struct pg_statement compare = {
	"audit_tombstones",
	"SELECT w.id, w.problem FROM (SELECT t.id, CASE WHEN h.session_id IS NULL THEN 'the history does not know the "
	"fight'"
	" WHEN h.settlement_status <> 'processed' THEN 'the fight is ' || h.settlement_status || ' in the history'"
	" WHEN (t.stone -> 'winner_team') IS DISTINCT FROM coalesce(h.result_payload #> '{meta,winner_team}', 'null')"
	"  THEN 'another winner_team'"
	" WHEN (t.stone -> 'finish_reason') IS DISTINCT FROM (h.result_payload #> '{meta,finish_reason}')"
	"  THEN 'another finish_reason'"
	" WHEN (t.stone ->> 'finished_at') IS DISTINCT FROM"
	"  to_char(h.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') THEN 'another finished_at'"
	" ELSE (SELECT 'other figures for character ' || min(p.key) FROM jsonb_each(h.result_payload -> "
	"'participants') p"
	"  CROSS JOIN LATERAL (SELECT t.stone #> ARRAY['participants', p.key]) s (v)"
	"  WHERE (s.v -> 'is_winner', s.v -> 'xp_gained', s.v -> 'gold_gained', s.v -> 'damage_dealt', " REMEMBERED ")"
	"   IS DISTINCT FROM (p.value -> 'is_winner', p.value #> '{changes,xp_gained}', p.value #> "
	"'{changes,gold_gained}',"
	"   coalesce(p.value #> '{ui_report,damage_dealt}', '0'), " GRANTED ")) END AS problem"
	" FROM unnest($1::uuid[], $2::jsonb[]) t (id, stone) LEFT JOIN combat_history h ON h.session_id = t.id) w"
	" WHERE w.problem IS NOT NULL",
};

static const struct pg_statement finished = {
	"audit_finished",
	"SELECT session_id FROM combat_history WHERE session_id = ANY ($1::uuid[]) AND settlement_status = 'processed'",
};

/* The sessions that a page of keys names, and what the keys hold. */
struct stones {
	struct uuid *sessions;
	const char **values;
	size_t *lens;
	size_t n;
};

static void stones_release(struct stones *stones)
{
	free(stones->sessions);
	free(stones->values);
	free(stones->lens);
}

static struct stones stones_for(size_t n)
{
	return (struct stones){
		.sessions = must_alloc(n * sizeof(struct uuid)),
		.values = must_alloc(n * sizeof(char *)),
		.lens = must_alloc(n * sizeof(size_t)),
	};
}

/* Keeps the tombstones that are JSON and reports the others. */
static void take_stone(struct audit_report *report, struct stones *stones, const char *key,
	const struct kv_answer *answer, struct scratch *work)
{
	const char *session = strrchr(key, ':') + 1;
	struct uuid id;
	size_t len;
	const char *value = kv_string(answer, &len);
	struct error wrong;

	if (kv_kind(answer) == KV_NIL)
		return; /* its time was over */
	if (uuid_parse(session, &id)) {
		audit_find(report, "tombstone", 0, NULL, "key %s names no fight", key);
		return;
	}
	if (kv_kind(answer) == KV_ERROR || !cJSON_IsObject(json_parse(value, len, work, &wrong))) {
		audit_find(report, "tombstone", 0, &id, "the tombstone of fight %s cannot be read", session);
		return;
	}
	stones->sessions[stones->n] = id;
	stones->values[stones->n] = value;
	stones->lens[stones->n++] = len;
}

static int compare_stones(const struct audit_sources *sources, const struct stones *stones, struct audit_report *report,
	struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	char named[UUID_TEXT_MAX];

	pg_add_uuid_array(&params, stones->sessions, stones->n);
	pg_add_jsonb_array(&params, stones->values, stones->lens, stones->n);
	if (audit_query(sources, &compare, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		struct uuid id = pg_uuid(&rows, row, 0);

		audit_find(report, "tombstone", 0, &id, "the tombstone of fight %s and the history differ: %s",
			uuid_format(&id, named), pg_text(&rows, row, 1, NULL));
	}
	return 0;
}

static int look_at_tombstones(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	struct audit_report *report = context;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(stones_release) struct stones stones = stones_for(page->n);
	CLEANUP(scratch_release) struct scratch work;
	struct kv *kv = audit_kv(sources);

	scratch_init(&work, TOMBSTONE_MAX);
	for (size_t i = 0; i < page->n; i++)
		kv_queue(kv, "GET %s", page->keys[i]);
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < page->n; i++) {
		take_stone(report, &stones, page->keys[i], kv_at(&answers, i), &work);
		scratch_reset(&work);
	}
	audit_count(report, "tombstones", (int64_t)page->n);
	return stones.n ? compare_stones(sources, &stones, report, err) : 0;
}

static int look_at_live_sessions(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	struct audit_report *report = context;
	CLEANUP(release_memory) struct uuid *sessions = must_alloc(page->n * sizeof(*sessions));
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	char named[UUID_TEXT_MAX];
	size_t n = 0;

	for (size_t i = 0; i < page->n; i++)
		n += uuid_parse(strrchr(page->keys[i], ':') + 1, &sessions[n]) == 0;
	audit_count(report, "live fights", (int64_t)n);
	pg_add_uuid_array(&params, sessions, n);
	if (audit_query(sources, &finished, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		struct uuid id = pg_uuid(&rows, row, 0);

		audit_find(report, "live_session", 0, &id, "fight %s is processed, but its live session is still there",
			uuid_format(&id, named));
	}
	return 0;
}

int audit_tombstones(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	audit_count(report, "tombstones", 0);
	audit_count(report, "live fights", 0);
	if (audit_scan(sources, "combat:result_cache:*", look_at_tombstones, report, err) ||
		audit_scan(sources, "combat:session:*", look_at_live_sessions, report, err))
		return -1;
	return audit_scan(sources, "cs:*", look_at_live_sessions, report, err);
}

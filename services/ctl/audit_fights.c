/* What the database alone can prove; each statement sees one moment, so the fleet may work on. */
#include "audit.h"

#define PARTICIPANTS                                                                                                   \
	"jsonb_each(CASE jsonb_typeof(h.result_payload -> 'participants') WHEN 'object'"                               \
	" THEN h.result_payload -> 'participants' ELSE '{}' END)"
#define FITTING                                                                                                        \
	"(h.result_payload #>> ARRAY['participants', w.id::text, 'changes', 'xp_gained'],"                             \
	" h.result_payload #>> ARRAY['participants', w.id::text, 'changes', 'gold_gained'])"                           \
	" = (abs(w.xp_off)::text, abs(w.gold_off)::text)"

/*
 * xp and gold are what a character began with, what its processed fights and what its auto-sessions gave, those that have ended
 * included; where a sum did not fit, the column stopped at its end, and nothing can be said. A fight whose amounts are the very
 * difference is most likely the one that is missing, or counted twice: it is named.
 */
static const struct pg_statement accounts = {
	"audit_accounts",
	"WITH fought AS (SELECT CASE WHEN p.key ~ '^[0-9]{1,18}$' THEN p.key::bigint END AS id,"
	"  sum(CASE jsonb_typeof(p.value #> '{changes,xp_gained}') WHEN 'number'"
	"   THEN (p.value #>> '{changes,xp_gained}')::numeric END) AS xp,"
	"  sum(CASE jsonb_typeof(p.value #> '{changes,gold_gained}') WHEN 'number'"
	"   THEN (p.value #>> '{changes,gold_gained}')::numeric END) AS gold"
	"  FROM combat_history h CROSS JOIN LATERAL " PARTICIPANTS " p"
	"  WHERE h.settlement_status = 'processed' GROUP BY 1),"
	" parts AS (SELECT c.id, c.xp, c.gold, coalesce(o.xp, 0) AS begun_xp, coalesce(o.gold, 0) AS begun_gold,"
	"  coalesce(f.xp, 0) AS fought_xp, coalesce(f.gold, 0) AS fought_gold,"
	"  coalesce(s.total_xp, 0)::numeric + coalesce(e.total_xp, 0) AS ticked_xp,"
	"  coalesce(s.total_gold, 0)::numeric + coalesce(e.total_gold, 0) AS ticked_gold"
	"  FROM characters c LEFT JOIN fought f ON f.id = c.id LEFT JOIN opening_balances o ON o.character_id = c.id"
	"  LEFT JOIN auto_sessions s ON s.player_id = c.id LEFT JOIN auto_session_ends e ON e.player_id = c.id),"
	" balance AS (SELECT p.*,"
	"  CASE WHEN xp < 9223372036854775807 THEN xp - begun_xp - fought_xp - ticked_xp ELSE 0 END AS xp_off,"
	"  CASE WHEN gold < 9223372036854775807 THEN gold - begun_gold - fought_gold - ticked_gold ELSE 0 END"
	"   AS gold_off FROM parts p),"
	" wrong AS (SELECT count(*) OVER () AS total, b.* FROM balance b WHERE xp_off <> 0 OR gold_off <> 0"
	"  ORDER BY id LIMIT $1)"
	" SELECT w.total, w.id, w.xp_off <> 0, w.xp, w.begun_xp, w.fought_xp::text, w.ticked_xp::text,"
	"  w.gold_off <> 0, w.gold, w.begun_gold, w.fought_gold::text, w.ticked_gold::text,"
	"  (SELECT h.session_id FROM combat_history h WHERE h.participant_ids @> ARRAY[w.id]"
	"   AND h.settlement_status = 'processed' AND " FITTING " LIMIT 1)"
	" FROM wrong w ORDER BY w.id",
};

static void report_account(struct audit_report *report, const struct pg_rows *rows, int row, int at, const char *what)
{
	struct uuid session = pg_uuid(rows, row, 12);
	char named[UUID_TEXT_MAX], fight[96] = "";

	if (!pg_is_null(rows, row, 12))
		snprintf(fight, sizeof(fight), "; fight %s has this difference", uuid_format(&session, named));
	audit_find(report, at == 2 ? "xp" : "gold", pg_int(rows, row, 1), &session,
		"character %lld has %lld %s, but began with %lld, has %s from processed fights and %s from ticks%s",
		(long long)pg_int(rows, row, 1), (long long)pg_int(rows, row, at + 1), what,
		(long long)pg_int(rows, row, at + 2), pg_text(rows, row, at + 3, NULL),
		pg_text(rows, row, at + 4, NULL), fight);
}

static int look_at_accounts(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, (int64_t)report->keep);
	if (audit_query(sources, &accounts, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		if (pg_bool(&rows, row, 2))
			report_account(report, &rows, row, 2, "xp");
		if (pg_bool(&rows, row, 7))
			report_account(report, &rows, row, 7, "gold");
	}
	if (rows.n)
		audit_find_more(report, pg_int(&rows, 0, 0) - rows.n);
	return 0;
}

/* ---- what names a character, a fight, and has a sentence for it ---- */

struct question {
	const char *kind;
	struct pg_statement statement; /* total, character or null, session or null, sentence; $1: how many */
};

static const struct question questions[] = {
	{ "last_fight",
		{ "audit_last_fights", "SELECT count(*) OVER (), c.id, h.session_id, 'is processed and newer than the "
				       "last fight of the"
				       " character, ' || coalesce(c.last_combat_session_id::text, 'none')"
				       " FROM combat_history h CROSS JOIN LATERAL unnest(h.participant_ids) p (id) "
				       "JOIN characters c ON c.id = p.id"
				       " WHERE h.settlement_status = 'processed' AND (h.finished_at, h.session_id) > "
				       "(coalesce(c.last_combat_at,"
				       "  (SELECT l.finished_at FROM combat_history l WHERE l.session_id = "
				       "c.last_combat_session_id), '-infinity'),"
				       "  coalesce(c.last_combat_session_id, '00000000-0000-0000-0000-000000000000'))"
				       " ORDER BY c.id, h.session_id LIMIT $1" } },
	{ "participants", { "audit_participants",
				  "SELECT count(*) OVER (), NULL::bigint, h.session_id, 'names participants ' || "
				  "h.participant_ids::text"
				  "  || ', its document ' || coalesce(d.ids::text, '{}')"
				  " FROM combat_history h CROSS JOIN LATERAL (SELECT array_agg(CASE WHEN k ~ "
				  "'^[0-9]{1,18}$' THEN k::bigint END"
				  "  ORDER BY length(k), k) FROM jsonb_object_keys(CASE jsonb_typeof(h.result_payload "
				  "-> 'participants')"
				  "  WHEN 'object' THEN h.result_payload -> 'participants' ELSE '{}' END) k) d (ids)"
				  " WHERE NOT (h.participant_ids <@ coalesce(d.ids, '{}') AND h.participant_ids @> "
				  "coalesce(d.ids, '{}'))"
				  " ORDER BY h.session_id LIMIT $1" } },
	{ "snapshot",
		{ "audit_snapshots",
			"SELECT count(*) OVER (), s.character_id, s.session_id,"
			"  'is processed, but the character still has a snapshot of it, saved at ' || s.saved_at::text"
			" FROM session_snapshots s JOIN combat_history h USING (session_id)"
			" WHERE s.kind = 'combat' AND h.settlement_status = 'processed'"
			" ORDER BY s.character_id, s.session_id LIMIT $1" } },
	{ "stack",
		{ "audit_stacks", "SELECT count(*) OVER (), i.character_id, NULL::uuid, 'has inventory ' || i.id || ', "
				  "' || i.quantity || ' of '"
				  "  || i.item_template_id || ', which should have been removed'"
				  " FROM inventory i WHERE i.quantity < 1 ORDER BY i.character_id, i.id LIMIT $1" } },
};

static void report_answer(struct audit_report *report, const char *kind, const struct pg_rows *rows, int row)
{
	CLEANUP(text_release) struct text subject = { 0 };
	struct uuid session = pg_uuid(rows, row, 2);
	int64_t char_id = pg_int(rows, row, 1);
	char named[UUID_TEXT_MAX];

	if (char_id)
		text_printf(&subject, "character %lld", (long long)char_id);
	if (!uuid_is_nil(&session))
		text_printf(&subject, "%sfight %s", subject.len ? ": " : "", uuid_format(&session, named));
	audit_find(report, kind, char_id, &session, "%s %s", text_str(&subject), pg_text(rows, row, 3, NULL));
}

static int ask(const struct audit_sources *sources, const struct question *question, struct audit_report *report,
	struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, (int64_t)report->keep);
	if (audit_query(sources, &question->statement, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++)
		report_answer(report, question->kind, &rows, row);
	if (rows.n)
		audit_find_more(report, pg_int(&rows, 0, 0) - rows.n);
	return 0;
}

static int count(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	static const struct pg_statement statement = { "audit_fight_counts",
		"SELECT (SELECT count(*) FROM characters), count(*) FILTER (WHERE settlement_status = 'processed'),"
		" count(*) FILTER (WHERE settlement_status = 'pending'), count(*) FILTER (WHERE settlement_status = "
		"'failed'),"
		" coalesce(sum(jsonb_array_length(CASE jsonb_typeof(shortfalls) WHEN 'array' THEN shortfalls END)), "
		"0)::bigint"
		" FROM combat_history" };
	static const char *const names[] = { "characters", "fights", "pending", "failed", "shortfalls" };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (audit_query(sources, &statement, NULL, &rows, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		audit_count(report, names[i], pg_int(&rows, 0, (int)i));
	return 0;
}

int audit_fights(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	if (count(sources, report, err) || look_at_accounts(sources, report, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(questions); i++)
		if (ask(sources, &questions[i], report, err))
			return -1;
	return 0;
}

#include "fight_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "settlement_sql.h"

#define RECORD_COLUMNS                                                                                                 \
	"h.session_id, h.settlement_status = 'processed', h.participant_ids @> ARRAY[$1::bigint], "                    \
	"c.last_combat_session_id IS NOT DISTINCT FROM h.session_id, h.finished_at, h.result_payload -> 'meta', "      \
	"h.result_payload -> 'participants' -> ($1::bigint)::text "                                                    \
	"FROM combat_history h LEFT JOIN characters c ON c.id = $1 "

static const struct pg_statement find = {
	"fight_find",
	"SELECT " RECORD_COLUMNS "WHERE h.session_id = $2",
};

/* The newest is picked by its key before its document is looked at. */
static const struct pg_statement find_newest = {
	"fight_find_newest",
	"SELECT " RECORD_COLUMNS "WHERE h.session_id = (SELECT n.session_id FROM combat_history n "
	"WHERE n.participant_ids @> ARRAY[$1::bigint] ORDER BY n.finished_at DESC, n.session_id DESC LIMIT 1)",
};

static const struct pg_statement is_last = {
	"fight_is_last",
	"SELECT last_combat_session_id IS NOT DISTINCT FROM $2 FROM characters WHERE id = $1",
};

static struct json_text copy_json(struct call *call, const struct pg_rows *rows, int column)
{
	size_t len;
	const char *text = pg_text(rows, 0, column, &len);

	return text ? (struct json_text){ scratch_memdup(&call->scratch, text, len), len } : (struct json_text){ 0 };
}

static int run(struct call *call, const struct pg_statement *statement, struct pg_params *params,
	struct fight_record *record, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	if (pg_query(call->pg, statement, params, &rows, err))
		return -1;
	*record = (struct fight_record){ .found = rows.n > 0 };
	if (!record->found)
		return 0;
	record->session_id = pg_uuid(&rows, 0, 0);
	record->processed = pg_bool(&rows, 0, 1);
	record->participated = pg_bool(&rows, 0, 2);
	record->is_last = pg_bool(&rows, 0, 3);
	record->finished_at_us = pg_timestamptz(&rows, 0, 4);
	record->meta = copy_json(call, &rows, 5);
	record->participant = copy_json(call, &rows, 6);
	return 0;
}

int fight_history_find(struct call *call, const struct uuid *session_id, int64_t char_id, struct fight_record *record,
	struct error *err)
{
	struct pg_params params = { 0 };

	pg_add_int8(&params, char_id);
	pg_add_uuid(&params, session_id);
	return run(call, &find, &params, record, err);
}

int fight_history_find_newest(struct call *call, int64_t char_id, struct fight_record *record, struct error *err)
{
	struct pg_params params = { 0 };

	pg_add_int8(&params, char_id);
	if (run(call, &find_newest, &params, record, err))
		return -1;
	record->is_newest = record->found;
	return 0;
}

int fight_history_is_last(
	struct call *call, int64_t char_id, const struct uuid *session_id, bool *last, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, char_id);
	pg_add_uuid(&params, session_id);
	if (pg_query(call->pg, &is_last, &params, &rows, err))
		return -1;
	*last = rows.n > 0 && pg_bool(&rows, 0, 0);
	return 0;
}

/* ---- documents ---- */

static int read_part(
	struct call *call, const struct json_text *text, const struct schema *schema, void *out, struct error *err)
{
	struct problems problems = { 0 };
	const cJSON *json = text->text ? json_parse(text->text, text->len, &call->scratch, err) : NULL;

	if (!json || schema_read(schema, json, out, &call->scratch, &problems))
		return error_set(err, CODE_INTERNAL, "the history's document cannot be read: %s %s",
			problems.n ? problems.items[0].field : schema->name,
			problems.n ? problems.items[0].problem : "is not there");
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct item_name *)a)->item_template_id, ((const struct item_name *)b)->item_template_id);
}

static const char *copy_text(struct call *call, const struct pg_rows *rows, int row, int column)
{
	const char *text = pg_text(rows, row, column, NULL);

	return text ? scratch_strdup(&call->scratch, text) : NULL;
}

static int read_names(
	struct call *call, const struct participant *participant, struct item_names *names, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	size_t n = grants_count(participant), kept = 0;
	const char **ids = scratch_array(&call->scratch, n, sizeof(*ids));
	struct item_name *items;

	*names = (struct item_names){ 0 };
	for (size_t i = 0; i < n; i++) {
		ids[kept] = grant_at(participant, i).item_template_id;
		kept += ids[kept] != NULL;
	}
	if (!kept)
		return 0;
	sql_templates(call->pg, ids, kept);
	if (pg_sync(call->pg, &rows, 1, err))
		return -1;
	items = scratch_array(&call->scratch, (size_t)rows.n, sizeof(*items));
	for (int row = 0; row < rows.n; row++)
		items[row] = (struct item_name){ copy_text(call, &rows, row, 0), copy_text(call, &rows, row, 1),
			copy_text(call, &rows, row, 2) };
	qsort(items, (size_t)rows.n, sizeof(*items), by_id);
	*names = (struct item_names){ items, (size_t)rows.n };
	return 0;
}

int fight_history_read(struct call *call, const struct fight_record *record, int64_t char_id,
	struct fight_summary *summary, struct error *err)
{
	struct participant *participant = scratch_alloc(&call->scratch, sizeof(*participant));
	struct fight_share *share = scratch_alloc(&call->scratch, sizeof(*share));
	struct fight_meta meta;
	struct item_names names;

	if (read_part(call, &record->meta, &fight_meta_schema, &meta, err) ||
		read_part(call, &record->participant, &participant_schema, participant, err))
		return -1;
	participant->char_id = char_id;
	if (read_names(call, participant, &names, err))
		return -1;
	*share = fight_share_of(participant, &names, &call->scratch);
	*summary = (struct fight_summary){
		.session_id = record->session_id,
		.finish_reason = meta.finish_reason,
		.winner_team = meta.winner_team,
		.finished_at = { .us = record->finished_at_us },
		.participants = { .n = 1, .items = share },
	};
	return 0;
}

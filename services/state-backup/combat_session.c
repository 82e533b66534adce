#include "combat_session.h"

static const struct pg_statement finished_fights = {
	"finished_fights",
	"SELECT session_id FROM combat_history WHERE session_id = ANY ($1::uuid[])",
};

static int find_finished(struct pg *pg, const struct uuid *ids, size_t n, bool *over, struct error *err)
{
	struct pg_params params = { 0 };
	pg_add_uuid_array(&params, ids, n);
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	if (pg_query(pg, &finished_fights, &params, &rows, err))
		return -1;
	/* Finished fights that a cache still names are few: no need of an index. */
	for (int row = 0; row < rows.n; row++) {
		const struct uuid id = pg_uuid(&rows, row, 0);
		for (size_t i = 0; i < n; i++)
			if (!uuid_compare(&ids[i], &id))
				over[i] = true;
	}
	return 0;
}

/*
 * A history row of any status means that the fight is over: a pending or failed one is waiting for its effects, not for blows.
 */
const struct session_kind combat_session = {
	.name = "combat",
	.field = "combat_session_id",
	.key_prefixes = { "combat:session:", "cs:" },
	.n_key_prefixes = 2,
	.find_finished = find_finished,
};

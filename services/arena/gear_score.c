#include "gear_score.h"

#include <stdlib.h>

#include "arena_settings.h"

static const struct pg_statement read_scores = {
	"arena_gear_scores",
	"SELECT c.id, coalesce(sum(t.gear_score), 0)::bigint"
	"  FROM characters c"
	"  LEFT JOIN inventory i ON i.character_id = c.id AND i.is_equipped"
	"  LEFT JOIN item_templates t ON t.id = i.item_template_id"
	" WHERE c.id = ANY($1)"
	" GROUP BY c.id"
	" ORDER BY c.id",
};

int gear_scores_read(struct pg *pg, const int64_t *char_ids, size_t n, struct scratch *scratch, struct gear_scores *out,
	struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8_array(&params, char_ids, n);
	if (pg_query(pg, &read_scores, &params, &rows, err))
		return -1;
	struct gear_score *items = scratch_array(scratch, (size_t)rows.n, sizeof(*items));
	for (int i = 0; i < rows.n; i++) {
		int64_t sum = pg_int(&rows, i, 1);

		items[i].char_id = pg_int(&rows, i, 0);
		items[i].score = sum > 0 ? sum : arena_settings.default_gear_score;
	}
	out->n = (size_t)rows.n;
	out->items = items;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = ((const struct gear_score *)a)->char_id, right = ((const struct gear_score *)b)->char_id;

	return (left > right) - (left < right);
}

const struct gear_score *gear_scores_find(const struct gear_scores *scores, int64_t char_id)
{
	struct gear_score wanted = { .char_id = char_id };

	return scores->n ? bsearch(&wanted, scores->items, scores->n, sizeof(wanted), compare_ids) : NULL;
}

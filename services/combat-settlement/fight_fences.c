#include "fight_fences.h"

#include <stdlib.h>
#include <string.h>

#include "settlement_sql.h"

/* Every id that is asked for is in the list: it was made from the same fights. */
static size_t find_id(const int64_t *ids, size_t n, int64_t id)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ids[middle] == id)
			return middle;
		if (ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return SIZE_MAX;
}

struct fences fences_read(const int64_t *ids, size_t n, const struct pg_rows *rows, struct scratch *scratch)
{
	struct fences fences = {
		.ids = ids,
		.n = n,
		.known = scratch_array(scratch, n, sizeof(*fences.known)),
		.set_by = scratch_array(scratch, n, sizeof(*fences.set_by)),
		.vitals = scratch_array(scratch, n, sizeof(*fences.vitals)),
	};

	for (int row = 0; row < rows->n; row++) {
		size_t at = find_id(ids, n, pg_int(rows, row, 0));

		fences.known[at] = true;
		for (int aspect = 0; aspect < ASPECT_COUNT; aspect++)
			fences.set_by[at][aspect] = pg_uuid(rows, row, 1 + aspect);
		fences.vitals[at] = scratch_strdup(scratch, pg_text(rows, row, 1 + ASPECT_COUNT, NULL));
	}
	return fences;
}

bool fences_know(const struct fences *fences, int64_t id)
{
	return fences->known[find_id(fences->ids, fences->n, id)];
}

void fences_apply(const struct fences *fences, struct fight *fight, struct scratch *scratch)
{
	const struct result_document *document = fight->document;

	memset(fight->newest, 0, sizeof(fight->newest));
	fight->vitals = scratch_array(scratch, document->participants.n, sizeof(*fight->vitals));
	for (size_t i = 0; i < document->participants.n; i++) {
		size_t at = find_id(fences->ids, fences->n, document_participant(document, i)->char_id);

		fight->vitals[i] = fences->known[at] ? fences->vitals[at] : "{}";
		for (int aspect = 0; fences->known[at] && aspect < ASPECT_COUNT; aspect++)
			if (uuid_compare(&fences->set_by[at][aspect], &document->session_id) == 0)
				fight->newest[aspect] |= (uint64_t)1 << i;
	}
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Everybody in the fights, each once, sorted. */
static int64_t *list_characters(struct fight *const *fights, size_t n, size_t *n_ids, struct scratch *scratch)
{
	size_t total = 0, kept = 0;
	int64_t *ids;

	for (size_t i = 0; i < n; i++)
		total += fights[i]->document->participants.n;
	ids = scratch_array(scratch, total, sizeof(*ids));
	total = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < fights[i]->document->participants.n; k++)
			ids[total++] = document_participant(fights[i]->document, k)->char_id;
	qsort(ids, total, sizeof(*ids), by_id);
	for (size_t i = 0; i < total; i++)
		if (kept == 0 || ids[kept - 1] != ids[i])
			ids[kept++] = ids[i];
	*n_ids = kept;
	return ids;
}

int fences_find(struct pg *pg, struct fight *const *fights, size_t n, struct scratch *scratch, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct fences fences;
	size_t n_ids;
	int64_t *ids = list_characters(fights, n, &n_ids, scratch);

	sql_fences(pg, ids, n_ids);
	if (pg_sync(pg, &rows, 1, err))
		return -1;
	fences = fences_read(ids, n_ids, &rows, scratch);
	for (size_t i = 0; i < n; i++)
		fences_apply(&fences, fights[i], scratch);
	return 0;
}

#include "settlement.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crash.h"
#include "settlement_attempt.h"
#include "settlement_claim.h"
#include "settlement_plan.h"
#include "settlement_sql.h"

/* What recording the undecided may take beyond the deadline that made them so. */
#define MARK_TIME_MS 1000
/* Of a batch that cannot commit. */
#define PARTS 8

struct settling {
	struct pg *pg;
	const struct templates *templates;
	struct scratch *scratch;
};

/* ---- templates ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **list_templates(struct fight *const *fights, size_t n, size_t *n_ids, struct scratch *scratch)
{
	const char **ids;
	size_t total = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < fights[i]->document->participants.n; k++)
			total += grants_count(document_participant(fights[i]->document, k));
	ids = scratch_array(scratch, total, sizeof(*ids));
	total = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < fights[i]->document->participants.n; k++) {
			const struct participant *participant = document_participant(fights[i]->document, k);

			for (size_t g = 0; g < grants_count(participant); g++)
				ids[total++] = grant_at(participant, g).item_template_id;
		}
	}
	qsort(ids, total, sizeof(*ids), by_text);
	for (size_t i = 0; i < total; i++)
		if (kept == 0 || strcmp(ids[kept - 1], ids[i]) != 0)
			ids[kept++] = ids[i];
	*n_ids = kept;
	return ids;
}

static const char *copy_text(const struct pg_rows *rows, int row, int column, struct scratch *scratch)
{
	const char *text = pg_text(rows, row, column, NULL);

	return text ? scratch_strdup(scratch, text) : NULL;
}

static int by_template(const void *a, const void *b)
{
	return strcmp(((const struct template_row *)a)->id, ((const struct template_row *)b)->id);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct item_name *)a)->item_template_id, ((const struct item_name *)b)->item_template_id);
}

int templates_read(struct templates *templates, struct pg *pg, struct fight *const *fights, size_t n,
	struct scratch *scratch, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	size_t n_ids;
	const char **ids = list_templates(fights, n, &n_ids, scratch);

	*templates = (struct templates){ 0 };
	if (!n_ids)
		return 0;
	sql_templates(pg, ids, n_ids);
	if (pg_sync(pg, &rows, 1, err))
		return -1;
	templates->rows = scratch_array(scratch, (size_t)rows.n, sizeof(*templates->rows));
	templates->names = scratch_array(scratch, (size_t)rows.n, sizeof(*templates->names));
	for (int row = 0; row < rows.n; row++) {
		const char *id = copy_text(&rows, row, 0, scratch);

		templates->rows[row] = (struct template_row){ id, pg_bool(&rows, row, 3),
			pg_is_null(&rows, row, 4) ? -1 : pg_int(&rows, row, 4) };
		templates->names[row] = (struct item_name){ id, copy_text(&rows, row, 1, scratch),
			copy_text(&rows, row, 2, scratch) };
	}
	templates->n = (size_t)rows.n;
	qsort(templates->rows, templates->n, sizeof(*templates->rows), by_template);
	qsort(templates->names, templates->n, sizeof(*templates->names), by_name);
	return 0;
}

/* ---- from a batch down to single fights ---- */

static struct fight **list_open(struct fight *const *fights, size_t n, size_t *n_open, struct scratch *scratch)
{
	struct fight **open = scratch_array(scratch, n, sizeof(*open));

	*n_open = 0;
	for (size_t i = 0; i < n; i++)
		if (fights[i]->state == FIGHT_OPEN)
			open[(*n_open)++] = fights[i];
	return open;
}

static bool is_contention(const struct error *err)
{
	return strcmp(err->sqlstate, "40P01") == 0 || strcmp(err->sqlstate, "40001") == 0;
}

/* Whether the cause may lie in one fight of many, so that the others can be settled without it. */
static bool may_be_one_of_many(const struct error *err)
{
	if (is_contention(err) || err->code == CODE_INVALID_PAYLOAD || err->code == CODE_CONFLICT ||
		err->code == CODE_NOT_FOUND)
		return true;
	return *err->sqlstate && (err->code == CODE_TIMEOUT || err->code == CODE_INTERNAL);
}

static void decide_failed(struct settling *settling, struct fight *const *fights, size_t n, const struct error *err)
{
	enum fight_state state = code_is_transient(err->code) ? FIGHT_DELAYED : FIGHT_HOPELESS;

	for (size_t i = 0; i < n; i++)
		fight_decide(fights[i], state, err, settling->scratch);
}

static void settle_open(struct settling *settling, struct fight *const *fights, size_t n);

/*
 * In a few parts, not in halves: where one fight waits for a lock until it gives up, each level costs that wait, and all of them
 * must fit in the batch's deadline.
 */
static void settle_apart(struct settling *settling, struct fight *const *fights, size_t n, const struct error *err)
{
	size_t part = (n + PARTS - 1) / PARTS;

	if (n == 1 || !may_be_one_of_many(err)) {
		decide_failed(settling, fights, n, err);
		return;
	}
	for (size_t i = 0; i < n; i += part)
		settle_open(settling, fights + i, n - i < part ? n - i : part);
}

/* Decides all of them, in as few transactions as it takes. */
static void settle_open(struct settling *settling, struct fight *const *fights, size_t n)
{
	struct error err;
	int idle = 0, contended = 0;

	for (;;) {
		size_t n_open, n_left;
		struct fight **open = list_open(fights, n, &n_open, settling->scratch);

		if (n_open == 0)
			return;
		if (settlement_attempt(settling->pg, open, n_open, settling->templates, settling->scratch, &err)) {
			open = list_open(open, n_open, &n_left, settling->scratch);
			if (is_contention(&err) && contended++ == 0)
				continue;
			settle_apart(settling, open, n_left, &err);
			return;
		}
		list_open(open, n_open, &n_left, settling->scratch);
		idle = n_left < n_open ? 0 : idle + 1;
		if (idle > 2) {
			error_set(&err, CODE_UNAVAILABLE, "the fight's row in the history keeps changing");
			decide_failed(settling, open, n_open, &err);
		}
	}
}

/* ---- those that were not settled ---- */

static int write_marks(struct settling *settling, struct fight *const *fights, size_t n, struct error *err)
{
	struct history_row *rows = scratch_array(settling->scratch, n, sizeof(*rows));

	for (size_t i = 0; i < n; i++) {
		rows[i] = history_row_of(fights[i], settling->scratch);
		rows[i].status = fights[i]->state == FIGHT_HOPELESS ? "failed" : "pending";
		rows[i].failure = fights[i]->error->text;
	}
	sql_mark(settling->pg, rows, n);
	return pg_sync(settling->pg, NULL, 1, err);
}

/* A document that not even the history can hold is refused without a trace there; the dead queue has it. */
static void mark_alone(struct settling *settling, struct fight *fight)
{
	struct error err;

	if (write_marks(settling, &fight, 1, &err) && fight->state == FIGHT_HOPELESS && code_is_transient(err.code))
		fight_decide(fight, FIGHT_DELAYED, &err, settling->scratch);
}

/* Says in the history what became of fights that are not settled: players ask there. */
static void mark(struct settling *settling, struct fight *const *sorted, size_t n)
{
	struct fight **unsettled = scratch_array(settling->scratch, n, sizeof(*unsettled));
	size_t n_unsettled = 0;
	struct error err;

	for (size_t i = 0; i < n; i++)
		if (sorted[i]->state == FIGHT_HOPELESS ||
			(sorted[i]->state == FIGHT_DELAYED && !sorted[i]->error->down))
			unsettled[n_unsettled++] = sorted[i];
	if (!n_unsettled)
		return;
	pg_set_deadline(settling->pg, clock_ms() + MARK_TIME_MS);
	if (write_marks(settling, unsettled, n_unsettled, &err) == 0) {
		crash_point("fights_marked");
		return;
	}
	for (size_t i = 0; i < n_unsettled; i++)
		mark_alone(settling, unsettled[i]);
}

static int by_age(const void *a, const void *b)
{
	return fight_order((*(struct fight *const *)a)->document, (*(struct fight *const *)b)->document);
}

static int by_session(const void *a, const void *b)
{
	return uuid_compare(
		&(*(struct fight *const *)a)->document->session_id, &(*(struct fight *const *)b)->document->session_id);
}

static struct fight **sorted_fights(
	struct fight *const *fights, size_t n, int (*compare)(const void *, const void *), struct scratch *scratch)
{
	struct fight **sorted = scratch_array(scratch, n, sizeof(*sorted));

	memcpy(sorted, fights, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	return sorted;
}

void settle(struct pg *pg, struct fight *const *fights, size_t n, const struct templates *templates,
	struct scratch *scratch)
{
	struct settling settling = { pg, templates, scratch };
	struct fight **sorted = sorted_fights(fights, n, by_age, scratch);

	settle_open(&settling, sorted, n);
	mark(&settling, sorted_fights(fights, n, by_session, scratch), n);
	pg_rollback(pg);
}

void settle_later(
	struct pg *pg, struct fight *const *fights, size_t n, const struct error *why, struct scratch *scratch)
{
	struct settling settling = { .pg = pg, .scratch = scratch };

	for (size_t i = 0; i < n; i++) {
		fights[i]->state = FIGHT_DELAYED;
		fights[i]->error = why;
	}
	mark(&settling, sorted_fights(fights, n, by_session, scratch), n);
	pg_rollback(pg);
}

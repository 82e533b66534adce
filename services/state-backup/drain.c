#include "drain.h"

#include <stdlib.h>

#include "backup.h"
#include "clock.h"
#include "counts.h"
#include "crash.h"
#include "log.h"
#include "marks.h"
#include "settings.h"

_Static_assert(DRAIN_TIMEOUT_MS < MARKS_LEASE_MS, "a worker at work must keep its lease");

/* How often marks of dead workers are looked for. */
#define WATCH_MS 2000
/* When rows are locked by others, and when a store does not answer. */
#define LOCKED_MS 200
#define FAILED_MS 1000
/* Log lines about unreadable caches in one batch; the metric counts them all. */
#define COMPLAINTS_MAX 20

/* This thread's drain. */
struct drain {
	struct marks marks;
	bool named;
	bool under_way;	 /* a round began, and the set was not seen empty since */
	int64_t next_ms; /* monotonic: when the next round begins */
};

static int compare_marks(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	return (x->char_id > y->char_id) - (x->char_id < y->char_id);
}

static void complain(const struct mark *mark, const char *problem, size_t how_many)
{
	metric_add(&counts[COUNT_UNREADABLE], 1);
	if (how_many < COMPLAINTS_MAX)
		log_line(LOG_WARN, "mark_set_aside", "%.*s of dirty_accounts: %s",
			(int)(mark->len < 64 ? mark->len : 64), mark->member, problem);
}

/* A batch's marks, sorted by what becomes of them. */
struct verdicts {
	const struct mark **done, **bad;
	size_t n_done, n_bad, n_saved;
};

static void judge(struct verdicts *verdicts, const struct mark *mark, const struct backup *item)
{
	const char *problem = NULL;
	switch (item->outcome) {
	case SAVED:
		verdicts->n_saved++;
		break;
	case SAVED_NOTHING:
		break;
	case SAVED_UNKNOWN:
		problem = item->cached ? "there is no such character" : NULL;
		break;
	case SAVED_UNREADABLE:
		problem = item->problem;
		break;
	case SAVED_LOCKED: /* stays with this worker */
		return;
	}
	if (problem) {
		complain(mark, problem, verdicts->n_bad);
		verdicts->bad[verdicts->n_bad++] = mark;
	} else {
		verdicts->done[verdicts->n_done++] = mark;
	}
}

static int save_batch(struct call *call, struct drain *drain, const struct mark_batch *batch, struct scratch *scratch,
	size_t *n_settled, struct error *err)
{
	struct backup *items = scratch_array(scratch, batch->n + 1, sizeof(*items));
	struct verdicts verdicts = {
		.done = scratch_array(scratch, batch->n + 1, sizeof(const struct mark *)),
		.bad = scratch_array(scratch, batch->n + 1, sizeof(const struct mark *)),
	};
	if (batch->n)
		crash_point("marks_taken");
	qsort(batch->marks, batch->n, sizeof(*batch->marks), compare_marks);
	size_t first = 0, n = 0;
	for (; first < batch->n && !batch->marks[first].char_id; first++) {
		complain(&batch->marks[first], "is not a character's id", verdicts.n_bad);
		verdicts.bad[verdicts.n_bad++] = &batch->marks[first];
	}
	for (size_t i = first; i < batch->n; i++)
		items[n++].char_id = batch->marks[i].char_id;
	if (backup_characters(call->pg, call->kv, items, n, scratch, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		judge(&verdicts, &batch->marks[first + i], &items[i]);
	metric_add(&counts[COUNT_SAVED], (int64_t)verdicts.n_saved);
	*n_settled = verdicts.n_done + verdicts.n_bad;
	if (*n_settled)
		crash_point("marks_saved");
	if (marks_set_aside(&drain->marks, verdicts.bad, verdicts.n_bad, state_backup_settings.interval_ms, err))
		return -1;
	if (verdicts.n_bad)
		crash_point("marks_set_aside");
	if (marks_done(&drain->marks, verdicts.done, verdicts.n_done, err))
		return -1;
	if (verdicts.n_done)
		crash_point("marks_done");
	return 0;
}

static int watch(struct drain *drain, struct error *err)
{
	struct marks_state state;
	if (marks_watch(&drain->marks, &state, err))
		return -1;
	metric_set(&counts[COUNT_MARKS_WAITING], state.waiting);
	metric_set(&counts[COUNT_MARKS_SET_ASIDE], state.set_aside);
	metric_set(&counts[COUNT_OLDEST_MARK_AGE], state.oldest_age_ms);
	return 0;
}

/* Milliseconds to the next run, or -1. */
static int64_t run_once(struct call *call, struct drain *drain, struct error *err)
{
	const size_t max = ((size_t)state_backup_settings.batch_size + DRAIN_THREADS - 1) / DRAIN_THREADS;
	CLEANUP(scratch_release) struct scratch scratch;
	scratch_init(&scratch, (size_t)256 << 20);
	if (clock_ms() >= drain->next_ms) {
		drain->under_way = true;
		drain->next_ms = clock_ms() + state_backup_settings.interval_ms;
	}
	struct mark_batch batch;
	size_t n_settled = 0;
	if (watch(drain, err) || marks_take(&drain->marks, max, drain->under_way, &scratch, &batch, err) ||
		save_batch(call, drain, &batch, &scratch, &n_settled, err))
		return -1;
	if (drain->under_way && batch.emptied) {
		drain->under_way = false;
		if (marks_clean(&drain->marks, batch.taken_ms, err))
			return -1;
	}
	if (batch.n && !n_settled)
		return LOCKED_MS;
	if (drain->under_way || batch.n > n_settled || batch.n == max)
		return 0;
	const int64_t left_ms = drain->next_ms - clock_ms();
	return left_ms < 0 ? 0 : left_ms < WATCH_MS ? left_ms : WATCH_MS;
}

/*
 * What a run leaves behind when it dies anywhere is marks in its own set, which another worker adopts; saving a character once more
 * does no harm.
 */
int64_t drain_run(struct call *call)
{
	static _Thread_local struct drain drain;
	if (!drain.named)
		marks_init(&drain.marks, call->kv);
	drain.named = true;
	struct error err;
	const int64_t next_ms = run_once(call, &drain, &err);
	if (next_ms >= 0)
		return next_ms;
	log_line(LOG_WARN, "drain_failed", "%s", err.text);
	call->down = err.down;
	return FAILED_MS;
}

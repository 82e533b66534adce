#include "services/tick/scheduler.h"

#include <stdatomic.h>

#include "log.h"
#include "services/tick/category.h"
#include "services/tick/queue.h"
#include "services/tick/schedule.h"
#include "services/tick/tick_metrics.h"
#include "services/tick/tick_settings.h"

#define PAUSE_MS 50
#define PAUSE_BACKLOG_MS 20
#define PAUSE_FAILED_MS 1000
#define SWEEP_EVERY_MS 1000 /* in the whole fleet */
#define GRACE_MS 2000	 /* how long a tick may be on its way before it is taken for lost; a duplicate does no harm */
#define QUEUED_MAX 10000 /* more need not wait in Redis: they wait as well in the database */
#define PAGE 2000	 /* the LIMIT of the statements, which the planner must know */

/* The cursor is the lower bound of the index scan, so it never walks over what vacuum has not removed yet. */
static const struct pg_statement select_due = {
	"tick_select_due",
	"SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions"
	" WHERE (next_tick_at, player_id) > ($1, $2) AND next_tick_at <= now() ORDER BY next_tick_at, player_id LIMIT "
	"2000",
};

static const struct pg_statement select_all_due = {
	"tick_select_all_due",
	"SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions"
	" WHERE next_tick_at <= now() ORDER BY next_tick_at, player_id LIMIT 2000",
};

/* Queued once, due for a while, and no longer in the queues. */
static const struct pg_statement select_lost = {
	"tick_select_lost",
	"SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions"
	" WHERE (next_tick_at, player_id) <= ($1, $2) AND next_tick_at < least(now(), $3) - $4 * interval '1 ms'"
	" ORDER BY next_tick_at, player_id LIMIT 2000",
};

/* Farther away than an interval: fixed when TICK_INTERVAL was longer (or just now, while this statement began). */
static const struct pg_statement select_far = {
	"tick_select_far",
	"SELECT player_id, next_tick_at, started_at, clock_timestamp() FROM auto_sessions"
	" WHERE next_tick_at > now() + $1 * interval '1 ms' AND next_tick_at < 'infinity'"
	" ORDER BY next_tick_at, player_id LIMIT 2000",
};

static const struct pg_statement move_far = {
	"tick_move_far",
	"UPDATE auto_sessions s SET next_tick_at = d.next FROM unnest($1, $2, $3) AS d (id, due, next)"
	" WHERE s.player_id = d.id AND s.next_tick_at = d.due AND d.next <> d.due",
};

/* Reads rows of the first three statements; returns how many were read into dues, which has room for a page. */
static size_t read_dues(const struct pg_rows *rows, struct due *dues)
{
	size_t n = 0;

	for (int row = 0; row < rows->n; row++) {
		int category = category_by_name(pg_text(rows, row, 3, NULL));

		if (category < 0)
			continue;
		dues[n++] = (struct due){
			.player_id = pg_int(rows, row, 0),
			.due_us = pg_timestamptz(rows, row, 1),
			.started_us = pg_timestamptz(rows, row, 2),
			.category = category,
		};
	}
	return n;
}

/* Queues a page of what is due past the cursor; *more when there may be another. */
static int queue_due(
	struct call *call, const struct queue_state *state, struct due *dues, bool *more, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	size_t n;
	int failed;

	if (*state->cursor) {
		pg_add_timestamptz(&params, state->cursor_us);
		pg_add_int8(&params, state->cursor_id);
		failed = pg_query(call->pg, &select_due, &params, &rows, err);
	} else {
		failed = pg_query(call->pg, &select_all_due, NULL, &rows, err);
	}
	if (failed)
		return -1;
	n = read_dues(&rows, dues);
	*more = rows.n == PAGE;
	return n > 0 ? queue_push(call->kv, state, dues, n, err) : 0;
}

/*
 * Queues again what was lost on the way. As much as a page of it means that the queues themselves were lost: then all that is due is
 * looked through anew.
 */
static int queue_lost(struct call *call, const struct queue_state *state, struct due *dues, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	size_t n;

	if (!*state->cursor)
		return 0;
	pg_add_timestamptz(&params, state->cursor_us);
	pg_add_int8(&params, state->cursor_id);
	pg_add_timestamptz(&params, state->oldest_due_us);
	pg_add_int8(&params, GRACE_MS);
	if (pg_query(call->pg, &select_lost, &params, &rows, err))
		return -1;
	n = read_dues(&rows, dues);
	if (n == 0)
		return 0;
	metric_add(&tick_metrics[METRIC_LOST_FOUND], (int64_t)n);
	log_line(LOG_INFO, "tick_lost", "%zu due ticks were lost on the way and are queued again", n);
	return n == PAGE ? queue_forget_cursor(call->kv, err) : queue_push_lost(call->kv, dues, n, err);
}

static int move_page(struct call *call, const struct pg_rows *rows, struct error *err)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(3 * (size_t)rows->n * sizeof(*ids));
	int64_t *dues = ids + rows->n, *nexts = dues + rows->n;
	struct pg_params params = { 0 };
	const size_t n = (size_t)rows->n;

	for (int row = 0; row < rows->n; row++) {
		struct schedule schedule = {
			.started_us = pg_timestamptz(rows, row, 2),
			.interval_us = tick_settings.interval_ms * 1000,
		};

		ids[row] = pg_int(rows, row, 0);
		dues[row] = pg_timestamptz(rows, row, 1);
		nexts[row] = schedule_after(&schedule, pg_timestamptz(rows, row, 3));
	}
	pg_add_int8_array(&params, ids, n);
	pg_add_timestamptz_array(&params, dues, n);
	pg_add_timestamptz_array(&params, nexts, n);
	return pg_query(call->pg, &move_far, &params, NULL, err);
}

/*
 * Once, when the worker has started: sessions that wait for a due time fixed under a longer interval are moved onto the present grid.
 * No due time is lost by it, for the grid has none between the last that passed and now.
 */
static int realign(struct call *call, bool *done, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_int8(&params, tick_settings.interval_ms);
	if (pg_query(call->pg, &select_far, &params, &rows, err))
		return -1;
	if (rows.n > 0 && move_page(call, &rows, err))
		return -1;
	*done = rows.n < PAGE;
	return 0;
}

static int run(struct call *call, int64_t *pause_ms, struct error *err)
{
	static atomic_bool realigned;
	CLEANUP(release_memory) struct due *dues = must_alloc(PAGE * sizeof(*dues));
	struct queue_state state;
	bool more = false, done = true;

	if (!atomic_load(&realigned)) {
		if (realign(call, &done, err))
			return -1;
		atomic_store(&realigned, done);
	}
	if (queue_look(call->kv, SWEEP_EVERY_MS, tick_settings.interval_ms, &state, err))
		return -1;
	metric_set(&tick_metrics[METRIC_QUEUED], state.length);
	if (state.sweep && queue_lost(call, &state, dues, err))
		return -1;
	if (state.length < QUEUED_MAX && queue_due(call, &state, dues, &more, err))
		return -1;
	*pause_ms = more || !done ? 0 : state.length >= QUEUED_MAX ? PAUSE_BACKLOG_MS : PAUSE_MS;
	return 0;
}

int64_t schedule_due_ticks(struct call *call)
{
	int64_t pause_ms;
	struct error err;

	if (run(call, &pause_ms, &err)) {
		call->down = err.down;
		log_line(LOG_WARN, "tick_schedule", "due ticks wait: %s", err.text);
		return PAUSE_FAILED_MS;
	}
	return pause_ms;
}

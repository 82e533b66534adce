#include "services/tick/scheduler.h"

#include <stdatomic.h>

#include "clock.h"
#include "crash.h"
#include "log.h"
#include "service.h"
#include "services/tick/category.h"
#include "services/tick/drain.h"
#include "services/tick/queue.h"
#include "services/tick/schedule.h"
#include "services/tick/tick_metrics.h"
#include "services/tick/tick_settings.h"

#define PAUSE_MIN_MS 50	 /* so that those due meanwhile travel together */
#define PAUSE_MAX_MS 250 /* with nothing due: others may have queued something, or changed a session */
#define PAUSE_BACKLOG_MS 20
#define PAUSE_FAILED_MS 1000
#define SWEEP_EVERY_MS 1000 /* in the whole fleet */
#define GRACE_MS 2000 /* how long a tick may be on its way before it is taken for lost; a duplicate does no harm */
/*
 * A sweep of the whole schedule walks over what vacuum has not removed yet, and then waits so many times as long as it took; between two
 * of them sweeps begin where all was found to be in order.
 */
#define WHOLE_SWEEP_SHARE 200
#define WHOLE_SWEEP_MIN_MS 1000
#define WHOLE_SWEEP_MAX_MS 10000
#define LONG_AGO_US (-(INT64_C(1) << 57)) /* before any due time */
#define QUEUED_MAX 10000		  /* more need not wait in Redis: they wait as well in the database */
#define PAGE 2000			  /* the LIMIT of the statements, which the planner must know */

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

/* Now, and when the next is due, if that is soon; it sees the same now() as the statement before it, so none lies between the two. */
static const struct pg_statement select_next = {
	"tick_select_next",
	"SELECT now(), (SELECT next_tick_at FROM auto_sessions WHERE next_tick_at > now()"
	"  AND next_tick_at < now() + interval '1 s' ORDER BY next_tick_at LIMIT 1), clock_timestamp()",
};

/* Queued once, due for a while, and no longer in the queues. */
static const struct pg_statement select_lost = {
	"tick_select_lost",
	"SELECT player_id, next_tick_at, started_at, active_category FROM auto_sessions"
	" WHERE (next_tick_at, player_id) <= ($1, $2) AND next_tick_at < least(now(), $3) - $4 * interval '1 ms'"
	" AND next_tick_at >= $5 ORDER BY next_tick_at, player_id LIMIT 2000",
};
static const struct pg_statement read_now = { "tick_read_now", "SELECT now()" };

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

/* What a scheduler found past the cursor. */
struct found {
	size_t n;	  /* queued */
	bool more;	  /* there may be another page */
	int64_t pause_ms; /* until the next is due */
};

static int64_t limit(int64_t value, int64_t min, int64_t max)
{
	return value < min ? min : value > max ? max : value;
}

static int64_t pause_until_next(const struct pg_rows *rows)
{
	/* A session that begins now is due after an interval. */
	int64_t max_ms = limit(tick_settings.interval_ms / 2, PAUSE_MIN_MS, PAUSE_MAX_MS);

	if (pg_is_null(rows, 0, 1))
		return max_ms;
	return limit((pg_timestamptz(rows, 0, 1) - pg_timestamptz(rows, 0, 2) + 999) / 1000, PAUSE_MIN_MS, max_ms);
}

static void release_both(struct pg_rows (*rows)[2])
{
	pg_rows_release(&(*rows)[0]);
	pg_rows_release(&(*rows)[1]);
}

/* Queues a page of what is due past the cursor. */
static int queue_due(
	struct call *call, const struct queue_state *state, struct due *dues, struct found *found, struct error *err)
{
	CLEANUP(release_both) struct pg_rows rows[2] = { 0 };
	struct pg_params params = { 0 };

	if (*state->cursor) {
		pg_add_timestamptz(&params, state->cursor_us);
		pg_add_int8(&params, state->cursor_id);
		pg_queue(call->pg, &select_due, &params);
	} else {
		pg_queue(call->pg, &select_all_due, NULL);
	}
	pg_queue(call->pg, &select_next, NULL);
	if (pg_sync(call->pg, rows, ARRAY_LEN(rows), err))
		return -1;
	*found = (struct found){
		.n = read_dues(&rows[0], dues),
		.more = rows[0].n == PAGE,
		.pause_ms = pause_until_next(&rows[1]),
	};
	if (found->n > 0) {
		crash_point("tick_due_read");
		if (queue_push(call->kv, state, dues, found->n, err))
			return -1;
		crash_point("tick_queued");
		return 0;
	}
	/* Without a cursor every look would walk over all that vacuum has not removed yet. */
	if (!*state->cursor && rows[0].n == 0)
		return queue_begin_cursor(call->kv, pg_timestamptz(&rows[1], 0, 0) - GRACE_MS * 1000, err);
	return 0;
}

/* Where this worker's sweeps stand; one timer thread. */
static struct {
	int64_t in_order_us; /* nothing before is due and unknown */
	int64_t whole_at_ms; /* when everything is to be looked through again */
} swept = { .in_order_us = LONG_AGO_US };

static int64_t earliest(int64_t a_us, int64_t b_us, int64_t c_us)
{
	int64_t least_us = a_us < b_us ? a_us : b_us;

	return least_us < c_us ? least_us : c_us;
}

/*
 * Reads into dues what was lost on the way. Sessions move forward in time; one that was moved back by hand, or began in a transaction
 * that took its time, is found by the sweep of everything.
 */
static int find_lost(struct call *call, const struct queue_state *state, struct due *dues, size_t *n, struct error *err)
{
	CLEANUP(release_both) struct pg_rows rows[2] = { 0 };
	struct pg_params params = { 0 };
	int64_t begun_ms = clock_ms(), now_us;
	bool whole = begun_ms >= swept.whole_at_ms;

	pg_add_timestamptz(&params, state->cursor_us);
	pg_add_int8(&params, state->cursor_id);
	pg_add_timestamptz(&params, state->oldest_due_us);
	pg_add_int8(&params, GRACE_MS);
	pg_add_timestamptz(&params, whole ? LONG_AGO_US : swept.in_order_us);
	pg_queue(call->pg, &select_lost, &params);
	pg_queue(call->pg, &read_now, NULL);
	if (pg_sync(call->pg, rows, ARRAY_LEN(rows), err))
		return -1;
	now_us = pg_timestamptz(&rows[1], 0, 0);
	if (rows[0].n == 0)
		swept.in_order_us = earliest(state->cursor_us, state->oldest_due_us, now_us) - GRACE_MS * 1000;
	if (whole)
		swept.whole_at_ms = begun_ms + limit(WHOLE_SWEEP_SHARE * (clock_ms() - begun_ms), WHOLE_SWEEP_MIN_MS,
						       WHOLE_SWEEP_MAX_MS);
	*n = read_dues(&rows[0], dues);
	return 0;
}

/*
 * Queues again what was lost on the way. As much as a page of it means that the queues themselves were lost: then all that is due is
 * looked through anew.
 */
static int queue_lost(struct call *call, const struct queue_state *state, struct due *dues, struct error *err)
{
	size_t n;

	if (!*state->cursor)
		return 0;
	if (find_lost(call, state, dues, &n, err))
		return -1;
	if (n == 0)
		return 0;
	crash_point("tick_lost_found");
	metric_add(&tick_metrics[METRIC_LOST_FOUND], (int64_t)n);
	log_line(LOG_INFO, "tick_lost", "%zu due ticks were lost on the way and are queued again", n);
	if (n == PAGE)
		return queue_forget_cursor(call->kv, err);
	if (queue_push_lost(call->kv, dues, n, err))
		return -1;
	service_wake_timer(DRAIN_TIMER);
	return 0;
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
	struct found found = { .pause_ms = PAUSE_BACKLOG_MS };
	bool done = true;

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
	if (state.length < QUEUED_MAX && queue_due(call, &state, dues, &found, err))
		return -1;
	if (state.length > 0 || found.n > 0)
		service_wake_timer(DRAIN_TIMER);
	*pause_ms = found.more || !done ? 0 : found.pause_ms;
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

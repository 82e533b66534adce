#include "services/tick/credit.h"

#include <stdatomic.h>

#include "clock.h"
#include "crash.h"
#include "services/tick/auto_session.h"
#include "services/tick/category.h"
#include "services/tick/loot_bag.h"
#include "services/tick/rules.h"
#include "services/tick/tick_batch.h"
#include "services/tick/tick_event.h"
#include "services/tick/tick_metrics.h"
#include "services/tick/tick_settings.h"
#include "services/tick/vitals_cache.h"

#define CAREFUL_MS 10000

static const struct pg_statement read_clock = { "tick_read_clock", "SELECT clock_timestamp()" };

/*
 * The deltas are carried out of the first update rather than joined to the arrays again: the planner knows nothing of their sizes,
 * and would compare each with each. Sums stop at the column's end, so that one absurd row cannot fail its neighbours.
 */
static const struct pg_statement advance_sessions = {
	"tick_advance_sessions",
	"WITH moved AS (UPDATE auto_sessions s SET last_tick_at = d.last, next_tick_at = d.next, ticks = s.ticks + "
	"d.count,"
	"  total_xp = s.total_xp + d.xp, total_gold = s.total_gold + d.gold, total_items = s.total_items + d.items"
	"  FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
	"   AS d (id, due, started, last, next, count, xp, gold, items, energy)"
	"  WHERE s.player_id = d.id AND s.next_tick_at = d.due AND s.started_at = d.started AND s.active_category = $1"
	"  RETURNING d.id, d.xp, d.gold, d.energy)"
	" UPDATE characters c SET updated_at = now(),"
	"  xp = CASE WHEN c.xp <= 9223372036854775807 - m.xp THEN c.xp + m.xp ELSE 9223372036854775807 END,"
	"  gold = CASE WHEN c.gold <= 9223372036854775807 - m.gold THEN c.gold + m.gold ELSE 9223372036854775807 END,"
	"  vitals = CASE WHEN m.energy <> 0 AND jsonb_typeof(c.vitals -> 'energy' -> 'cur') = 'number'"
	"   AND jsonb_typeof(c.vitals -> 'energy' -> 'max') = 'number' THEN jsonb_set(c.vitals, '{energy,cur}',"
	"   to_jsonb(greatest(0, least((c.vitals -> 'energy' -> 'max')::numeric,"
	"    (c.vitals -> 'energy' -> 'cur')::numeric + m.energy))))"
	"   ELSE c.vitals END"
	" FROM moved m WHERE c.id = m.id RETURNING c.id",
};

/* In the order of the parameters, from the second on. */
static const struct {
	size_t offset;
	bool time;
} columns[] = {
	{ offsetof(struct tick, player_id), false },
	{ offsetof(struct tick, due_us), true },
	{ offsetof(struct tick, started_us), true },
	{ offsetof(struct tick, last_us), true },
	{ offsetof(struct tick, next_us), true },
	{ offsetof(struct tick, count), false },
	{ offsetof(struct tick, reward.xp), false },
	{ offsetof(struct tick, reward.gold), false },
	{ offsetof(struct tick, reward.items), false },
	{ offsetof(struct tick, reward.energy), false },
};

/* Who is locked by somebody else is left out, and found again by the sweep. */
static const struct pg_statement lock_sessions = {
	"tick_lock_sessions",
	"SELECT s.player_id FROM unnest($1) AS d (id) JOIN auto_sessions s ON s.player_id = d.id"
	" JOIN characters c ON c.id = d.id ORDER BY d.id FOR NO KEY UPDATE OF s, c SKIP LOCKED",
};

/* After a timeout somebody may be sitting on a row: for a while rows are locked first, without waiting, which is slower. */
static _Atomic int64_t careful_until_ms;

static void release_both(struct pg_rows (*rows)[2])
{
	pg_rows_release(&(*rows)[0]);
	pg_rows_release(&(*rows)[1]);
}

/* PostgreSQL's clock, and the rules as they stand. */
static int look(struct call *call, struct tick_batch *batch, struct error *err)
{
	CLEANUP(release_both) struct pg_rows rows[2] = { 0 };

	pg_queue(call->pg, &read_clock, NULL);
	rules_queue(call->pg, categories[batch->category].name);
	if (pg_sync(call->pg, rows, ARRAY_LEN(rows), err))
		return -1;
	batch->now_us = pg_timestamptz(&rows[0], 0, 0);
	rules_read(&rows[1], &call->scratch, &batch->rules);
	return 0;
}

static int lock_what_is_free(struct pg *pg, struct tick_batch *batch, struct error *err)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(batch->n * sizeof(*ids));
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++)
		ids[i] = batch->ticks[i].player_id;
	pg_add_int8_array(&params, ids, batch->n);
	pg_queue(pg, &lock_sessions, &params);
	if (pg_sync(pg, &rows, 1, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		const struct tick *tick = tick_batch_find(batch, pg_int(&rows, row, 0));

		batch->ticks[n++] =
			*tick; /* rows come in the order of the players, so none is overwritten before its turn */
	}
	batch->n = n;
	return 0;
}

/* Without those that credit nothing: their sessions are too old, and are only ended. */
static void add_columns(struct pg_params *params, const struct tick_batch *batch)
{
	CLEANUP(release_memory) int64_t *values = must_alloc(batch->n * sizeof(*values));

	for (size_t column = 0; column < ARRAY_LEN(columns); column++) {
		size_t n = 0;

		for (size_t i = 0; i < batch->n; i++)
			if (batch->ticks[i].count > 0)
				memcpy(&values[n++], (const char *)&batch->ticks[i] + columns[column].offset,
					sizeof(*values));
		if (columns[column].time)
			pg_add_timestamptz_array(params, values, n);
		else
			pg_add_int8_array(params, values, n);
	}
}

/* Moves the sessions whose due time, start and category are still those of the entries. */
static int advance(struct pg *pg, struct tick_batch *batch, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_text(&params, categories[batch->category].name);
	add_columns(&params, batch);
	pg_queue(pg, &advance_sessions, &params);
	if (pg_sync(pg, &rows, 1, err))
		return -1;
	for (int row = 0; row < rows.n; row++)
		tick_batch_find(batch, pg_int(&rows, row, 0))->credited = true;
	batch->n_credited = (size_t)rows.n;
	return 0;
}

static int change_live_energy(struct call *call, const struct tick_batch *batch, struct error *err)
{
	CLEANUP(release_memory) struct energy_change *changes = must_alloc(batch->n * sizeof(*changes));
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++) {
		const struct tick *tick = &batch->ticks[i];

		if (tick->credited && tick->reward.energy != 0)
			changes[n++] = (struct energy_change){ tick->player_id, tick->due_us, tick->reward.energy };
	}
	return n > 0 ? vitals_cache_change_energy(call->kv, changes, n, err) : 0;
}

/* Returns whether anything was queued. */
static bool queue_ends(struct pg *pg, const struct tick_batch *batch)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(batch->n * sizeof(*ids));
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++)
		if (batch->ticks[i].ended)
			ids[n++] = batch->ticks[i].player_id;
	if (n > 0)
		session_queue_expiry(pg, ids, n);
	return n > 0;
}

static int transact(struct call *call, struct tick_batch *batch, struct error *err)
{
	struct pg *pg = call->pg;
	size_t n = 0;

	pg_begin(pg);
	if (clock_ms() < atomic_load(&careful_until_ms) && lock_what_is_free(pg, batch, err))
		return -1;
	if (advance(pg, batch, err))
		return -1;
	crash_point("tick_advanced");
	if (change_live_energy(call, batch, err))
		return -1;
	crash_point("tick_energy_changed");
	n += loot_bag_queue(pg, batch);
	n += queue_ends(pg, batch);
	n += tick_event_queue(pg, batch);
	pg_commit(pg);
	return pg_sync(pg, NULL, n, err);
}

static void count(const struct tick_batch *batch, size_t n_dues)
{
	int64_t credited = 0, oldest_us = batch->now_us;

	for (size_t i = 0; i < batch->n; i++) {
		if (!batch->ticks[i].credited)
			continue;
		credited += batch->ticks[i].count;
		if (batch->ticks[i].due_us < oldest_us)
			oldest_us = batch->ticks[i].due_us;
	}
	metric_add(&tick_metrics[METRIC_TICKS], credited);
	metric_add(&tick_metrics[METRIC_SESSIONS_ADVANCED], (int64_t)batch->n_credited);
	metric_add(&tick_metrics[METRIC_STALE], (int64_t)(n_dues - batch->n_credited));
	metric_set(&tick_metrics[METRIC_LAG], (batch->now_us - oldest_us) / 1000);
}

int credit_ticks(struct call *call, int category, struct due *dues, size_t n, struct error *err)
{
	CLEANUP(tick_batch_release) struct tick_batch batch = { .category = category };

	if (look(call, &batch, err))
		return -1;
	tick_batch_plan(&batch, dues, n);
	if (batch.n > 0 && transact(call, &batch, err)) {
		pg_rollback(call->pg);
		if (err->code == CODE_TIMEOUT)
			atomic_store(&careful_until_ms, clock_ms() + CAREFUL_MS);
		return -1;
	}
	crash_point("tick_committed");
	if (tick_settings.events && batch.n_credited > 0)
		service_wake_timer(TICK_EVENT_TIMER);
	count(&batch, n);
	return 0;
}

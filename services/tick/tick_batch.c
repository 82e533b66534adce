#include "services/tick/tick_batch.h"

#include "cleanup.h"
#include "services/tick/schedule.h"
#include "services/tick/tick_settings.h"

static int by_player_and_due(const void *left, const void *right)
{
	const struct due *a = left, *b = right;

	if (a->player_id != b->player_id)
		return a->player_id < b->player_id ? -1 : 1;
	return a->due_us < b->due_us ? -1 : a->due_us > b->due_us;
}

static struct schedule schedule_of(int64_t started_us, int64_t due_us)
{
	return (struct schedule){
		.started_us = started_us,
		.due_us = due_us,
		.interval_us = tick_settings.interval_ms * 1000,
		.max_us = tick_settings.auto_session_max_ms * 1000,
	};
}

static void draw(const struct tick_batch *batch, const struct tick *tick, struct reward *reward, int64_t *quantities)
{
	struct schedule schedule = schedule_of(tick->started_us, tick->due_us);

	for (int64_t i = 0; i < tick->count; i++)
		reward_add(&batch->rules, tick->player_id, schedule_due(&schedule, i), reward, quantities);
}

static void add(struct tick_batch *batch, const struct due *due)
{
	struct schedule schedule = schedule_of(due->started_us, due->due_us);
	struct tick *tick = &batch->ticks[batch->n];
	struct advance advance;

	if (!schedule_advance(&schedule, batch->now_us, &advance))
		return;
	*tick = (struct tick){
		.player_id = due->player_id,
		.due_us = due->due_us,
		.started_us = due->started_us,
		.last_us = advance.last_us,
		.next_us = advance.next_us,
		.count = advance.passed < tick_settings.catchup_max ? advance.passed : tick_settings.catchup_max,
		.ended = advance.ended,
	};
	draw(batch, tick, &tick->reward, NULL);
	batch->n++;
}

void tick_batch_plan(struct tick_batch *batch, struct due *dues, size_t n)
{
	batch->ticks = must_alloc(n * sizeof(*batch->ticks));
	qsort(dues, n, sizeof(*dues), by_player_and_due);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || dues[i + 1].player_id != dues[i].player_id)
			add(batch, &dues[i]);
}

void tick_batch_release(struct tick_batch *batch)
{
	free(batch->ticks);
}

void tick_batch_items(const struct tick_batch *batch, const struct tick *tick, int64_t *quantities)
{
	struct reward reward = { 0 };

	draw(batch, tick, &reward, quantities);
}

struct tick *tick_batch_find(const struct tick_batch *batch, int64_t player_id)
{
	size_t low = 0, high = batch->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (batch->ticks[middle].player_id < player_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < batch->n && batch->ticks[low].player_id == player_id ? &batch->ticks[low] : NULL;
}

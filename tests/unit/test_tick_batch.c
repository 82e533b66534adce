/* link: services/tick/tick_batch.c services/tick/schedule.c services/tick/rewards.c services/tick/tick_settings.c */
#include "services/tick/tick_batch.h"

#include "services/tick/tick_settings.h"
#include "tests/unit/check.h"

#define SECOND INT64_C(1000000)
#define NOW_US INT64_C(1767182400000000)

static const char *const items[] = { "herb" };
static const struct loot loot[] = { { .item = 0, .weight = 1, .min = 1, .max = 5 } };
static const struct rule rule[] = {
	{ .weight = 1, .xp_min = 1, .xp_max = 100, .energy = -1, .loot = loot, .n_loot = 1, .loot_weight = 1 },
};

static struct tick_batch planned(struct due *dues, size_t n, int64_t catchup_max, int64_t max_ms)
{
	struct tick_batch batch = {
		.now_us = NOW_US,
		.rules = { .rules = rule, .n_rules = 1, .weight = 1, .items = items, .n_items = 1 },
	};

	tick_settings = (struct tick_settings){
		.interval_ms = 10000, .catchup_max = catchup_max, .auto_session_max_ms = max_ms
	};
	tick_batch_plan(&batch, dues, n);
	return batch;
}

static struct due due(int64_t player_id, int64_t seconds_ago)
{
	int64_t due_us = NOW_US - seconds_ago * SECOND;

	return (struct due){ .player_id = player_id, .due_us = due_us, .started_us = due_us - 10 * SECOND };
}

static void each_player_comes_once_and_in_order(void)
{
	struct due dues[] = { due(9, 1), due(3, 2), due(9, 1), due(9, 30), due(1, 3), due(3, -5) };
	CLEANUP(tick_batch_release) struct tick_batch batch = planned(dues, ARRAY_LEN(dues), 10, 0);

	/* 3's latest due time is not due yet */
	CHECK_INT((int64_t)batch.n, 2);
	CHECK_INT(batch.ticks[0].player_id, 1);
	CHECK_INT(batch.ticks[1].player_id, 9);
	CHECK_INT(batch.ticks[1].due_us, NOW_US - SECOND);
	CHECK(tick_batch_find(&batch, 9) == &batch.ticks[1]);
	CHECK(!tick_batch_find(&batch, 3) && !tick_batch_find(&batch, 0) && !tick_batch_find(&batch, 10));
}

static void what_is_credited_is_limited_and_where_the_session_goes_is_not(void)
{
	struct due dues[] = { due(1, 95) };
	CLEANUP(tick_batch_release) struct tick_batch batch = planned(dues, 1, 4, 0);
	const struct tick *tick = &batch.ticks[0];
	struct reward sum = { 0 };

	CHECK_INT(tick->count, 4);
	CHECK_INT(tick->last_us, NOW_US - 5 * SECOND);
	CHECK_INT(tick->next_us, NOW_US + 5 * SECOND);
	for (int i = 0; i < 4; i++)
		reward_add(&batch.rules, 1, tick->due_us + i * 10 * SECOND, &sum, NULL);
	CHECK_INT(tick->reward.xp, sum.xp);
	CHECK_INT(tick->reward.energy, -4);
}

static void the_items_are_those_that_were_counted(void)
{
	struct due dues[] = { due(1, 35), due(2, 5) };
	CLEANUP(tick_batch_release) struct tick_batch batch = planned(dues, 2, 10, 0);

	for (size_t i = 0; i < batch.n; i++) {
		int64_t quantities[1] = { 0 };

		tick_batch_items(&batch, &batch.ticks[i], quantities);
		CHECK(quantities[0] > 0);
		CHECK_INT(quantities[0], batch.ticks[i].reward.items);
	}
}

static void a_session_that_is_too_old_is_ended_with_nothing_new(void)
{
	struct due dues[] = { due(1, 5) };
	CLEANUP(tick_batch_release) struct tick_batch batch = planned(dues, 1, 10, 9000);

	CHECK_INT((int64_t)batch.n, 1);
	CHECK(batch.ticks[0].ended);
	CHECK_INT(batch.ticks[0].count, 0);
	CHECK_INT(batch.ticks[0].reward.xp, 0);
}

static const struct check_test tests[] = {
	CHECK_TEST(each_player_comes_once_and_in_order),
	CHECK_TEST(what_is_credited_is_limited_and_where_the_session_goes_is_not),
	CHECK_TEST(the_items_are_those_that_were_counted),
	CHECK_TEST(a_session_that_is_too_old_is_ended_with_nothing_new),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}

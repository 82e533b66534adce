/* link: services/tick/rewards.c */
#include "services/tick/rewards.h"
#include "tests/unit/check.h"

#define DUE_US INT64_C(1767182400000000)

static const char *const items[] = { "pelt", "sword" };

static const struct loot trail_loot[] = {
	{ .item = LOOT_NOTHING, .weight = 60, .min = 1, .max = 1 },
	{ .item = 0, .weight = 30, .min = 1, .max = 3 },
	{ .item = 1, .weight = 10, .min = 1, .max = 1 },
	{ .item = 1, .weight = 0, .min = 1000, .max = 1000 },
};

static const struct rule rule_list[] = {
	{ .weight = 3,
		.xp_min = 8,
		.xp_max = 14,
		.gold_min = 0,
		.gold_max = 2,
		.energy = -2,
		.loot = trail_loot,
		.n_loot = ARRAY_LEN(trail_loot),
		.loot_weight = 100 },
	{ .weight = 0, .xp_min = 1000000, .xp_max = 1000000 },
	{ .weight = 1, .xp_min = 100, .xp_max = 100, .gold_min = 7, .gold_max = 7, .energy = 5 },
};

static const struct rules rules = {
	.rules = rule_list,
	.n_rules = ARRAY_LEN(rule_list),
	.weight = 4,
	.items = items,
	.n_items = ARRAY_LEN(items),
};

static struct reward drawn(int64_t player_id, int64_t due_us, int64_t *quantities)
{
	struct reward reward = { 0 };

	reward_add(&rules, player_id, due_us, &reward, quantities);
	return reward;
}

static bool same(const struct reward *a, const struct reward *b)
{
	return a->xp == b->xp && a->gold == b->gold && a->energy == b->energy && a->items == b->items;
}

static void the_same_tick_gives_the_same(void)
{
	for (int64_t player = 1; player < 1000; player++) {
		int64_t a_items[2] = { 0 }, b_items[2] = { 0 };
		struct reward a = drawn(player, DUE_US + player, a_items), b = drawn(player, DUE_US + player, b_items);
		struct reward without = drawn(player, DUE_US + player, NULL);

		CHECK(same(&a, &b) && same(&a, &without));
		CHECK(a_items[0] == b_items[0] && a_items[1] == b_items[1]);
		CHECK_INT(a_items[0] + a_items[1], a.items);
	}
}

/* Neighbouring characters and neighbouring due times draw independently of each other. */
static void other_ticks_give_other_things(void)
{
	int same_player = 0, same_due = 0, mirrored = 0;

	for (int64_t i = 0; i < 1000; i++) {
		struct reward a = drawn(i, DUE_US, NULL), b = drawn(i + 1, DUE_US, NULL);
		struct reward c = drawn(5, DUE_US + i * 1000, NULL), d = drawn(5, DUE_US + i * 1000 + 1000, NULL);
		struct reward e = drawn(i, i + 1, NULL), f = drawn(i + 1, i, NULL);

		same_due += same(&a, &b);
		same_player += same(&c, &d);
		mirrored += same(&e, &f);
	}
	/* By chance: both of the second rule (1/16), or both of the first with equal xp, gold and items (< 1/40). */
	CHECK(same_due < 150 && same_player < 150 && mirrored < 150);
}

static void weights_and_bounds_hold(void)
{
	int64_t first = 0, quantities[2] = { 0 }, with_loot = 0, swords = 0;
	int64_t xp_seen[15] = { 0 };
	const int n = 200000;

	for (int64_t i = 0; i < n; i++) {
		int64_t before = quantities[1];
		struct reward r = drawn(i, DUE_US, quantities);

		if (r.xp == 100) {
			CHECK(r.gold == 7 && r.energy == 5 && r.items == 0);
			continue;
		}
		first++;
		CHECK(r.xp >= 8 && r.xp <= 14 && r.gold >= 0 && r.gold <= 2 && r.energy == -2 && r.items <= 3);
		xp_seen[r.xp]++;
		with_loot += r.items > 0;
		swords += quantities[1] - before;
	}
	CHECK(first > n * 0.74 && first < n * 0.76);
	CHECK(with_loot > first * 0.39 && with_loot < first * 0.41);
	CHECK(swords > first * 0.095 && swords < first * 0.105);
	CHECK(quantities[0] > first * 0.58 && quantities[0] < first * 0.62); /* 30 % of 1 to 3 */
	for (int xp = 8; xp <= 14; xp++)
		CHECK(xp_seen[xp] > first / 7.0 * 0.95 && xp_seen[xp] < first / 7.0 * 1.05);
}

static void no_rule_no_reward(void)
{
	static const struct rule weightless[] = { { .weight = 0, .xp_min = 5, .xp_max = 5 } };
	struct rules none = { 0 }, zero = { .rules = weightless, .n_rules = 1 };
	struct reward reward = { 0 };

	reward_add(&none, 1, DUE_US, &reward, NULL);
	reward_add(&zero, 1, DUE_US, &reward, NULL);
	CHECK(reward.xp == 0 && reward.gold == 0 && reward.energy == 0 && reward.items == 0);
}

static void rewards_add_up(void)
{
	struct reward sum = { 0 }, one;
	int64_t xp = 0;

	for (int i = 0; i < 10; i++) {
		one = drawn(9, DUE_US + i, NULL);
		xp += one.xp;
		reward_add(&rules, 9, DUE_US + i, &sum, NULL);
	}
	CHECK_INT(sum.xp, xp);
}

static const struct check_test tests[] = {
	CHECK_TEST(the_same_tick_gives_the_same),
	CHECK_TEST(other_ticks_give_other_things),
	CHECK_TEST(weights_and_bounds_hold),
	CHECK_TEST(no_rule_no_reward),
	CHECK_TEST(rewards_add_up),
};

int main(int argc, char **argv)
{
	return check_main(tests, ARRAY_LEN(tests), argc, argv);
}

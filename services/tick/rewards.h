/*
 * What ticks give: pure. A rule of the category is drawn by weight, then xp and gold between its bounds, then one entry of its
 * loot by weight. The generator is seeded with character and due time, so that a tick gives the same however often, by whomever
 * and together with whichever others it is computed.
 */
#ifndef TICK_REWARDS_H
#define TICK_REWARDS_H

#include <stddef.h>
#include <stdint.h>

#define LOOT_NOTHING (-1)

struct loot {
	int item; /* index in the rules' items, or LOOT_NOTHING */
	int64_t weight;
	int64_t min, max; /* quantity */
};

struct rule {
	int64_t weight;
	int64_t xp_min, xp_max;
	int64_t gold_min, gold_max;
	int64_t energy; /* may be negative */
	const struct loot *loot;
	size_t n_loot;
	int64_t loot_weight; /* sum */
};

/* Of one category. Without any (or with no weight at all) a tick gives nothing. */
struct rules {
	const struct rule *rules;
	size_t n_rules;
	int64_t weight;		  /* sum */
	const char *const *items; /* item_template_id, each once */
	size_t n_items;
};

struct reward {
	int64_t xp, gold, energy;
	int64_t items; /* how many in all */
};

/* Adds what one due time gives to reward, and to quantities[] by item where that is not NULL. Any thread. */
void reward_add(
	const struct rules *rules, int64_t player_id, int64_t due_us, struct reward *reward, int64_t *quantities);

#endif

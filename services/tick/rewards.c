#include "services/tick/rewards.h"

/* SplitMix64: one addition and a finalizer that spreads every bit, which is also what makes a good hash of the seed. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t draw(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15;
	return mix(*state);
}

/* A whole number from min to max, by the high half of a product (no rule's range is wide enough for its bias to show). */
static int64_t draw_between(uint64_t *state, int64_t min, int64_t max)
{
	uint64_t range = (uint64_t)(max - min) + 1;

	return min + (int64_t)(((unsigned __int128)draw(state) * range) >> 64);
}

static const struct rule *draw_rule(const struct rules *rules, uint64_t *state)
{
	int64_t at = draw_between(state, 0, rules->weight - 1);
	size_t i = 0;

	while (at >= rules->rules[i].weight)
		at -= rules->rules[i++].weight;
	return &rules->rules[i];
}

static const struct loot *draw_loot(const struct rule *rule, uint64_t *state)
{
	int64_t at = draw_between(state, 0, rule->loot_weight - 1);
	size_t i = 0;

	while (at >= rule->loot[i].weight)
		at -= rule->loot[i++].weight;
	return &rule->loot[i];
}

void reward_add(
	const struct rules *rules, int64_t player_id, int64_t due_us, struct reward *reward, int64_t *quantities)
{
	uint64_t state = mix((uint64_t)player_id * 0x9e3779b97f4a7c15 + 1) ^ mix((uint64_t)due_us);
	const struct rule *rule;
	const struct loot *loot;
	int64_t quantity;

	if (rules->weight <= 0)
		return;
	rule = draw_rule(rules, &state);
	reward->xp += draw_between(&state, rule->xp_min, rule->xp_max);
	reward->gold += draw_between(&state, rule->gold_min, rule->gold_max);
	reward->energy += rule->energy;
	if (rule->loot_weight <= 0)
		return;
	loot = draw_loot(rule, &state);
	if (loot->item == LOOT_NOTHING)
		return;
	quantity = draw_between(&state, loot->min, loot->max);
	reward->items += quantity;
	if (quantities)
		quantities[loot->item] += quantity;
}

#include "services/tick/loot_bag.h"

/* In columns. */
struct bag {
	int64_t *player_ids, *quantities;
	const char **items;
	size_t n, cap;
};

/* The characters' rows are locked by now, so nobody else gives to, or takes from, their stacks. */
static const struct pg_statement give_items = {
	"tick_give_items",
	"WITH gain AS MATERIALIZED (SELECT g.player_id, g.item, g.quantity, coalesce(t.stackable, true) AS stackable,"
	"  t.max_durability, CASE WHEN t.stackable IS NOT FALSE THEN (SELECT i.id FROM inventory i"
	"   WHERE i.character_id = g.player_id AND i.item_template_id = g.item AND NOT i.is_equipped"
	"   ORDER BY i.id LIMIT 1) END AS stack"
	"  FROM unnest($1, $2, $3) AS g (player_id, item, quantity) LEFT JOIN item_templates t ON t.id = g.item),"
	" stacked AS (UPDATE inventory i SET quantity = least(i.quantity + g.quantity, 2147483647)"
	"  FROM gain g WHERE i.id = g.stack)"
	" INSERT INTO inventory (character_id, item_template_id, quantity, durability)"
	" SELECT g.player_id, g.item, CASE WHEN g.stackable THEN g.quantity ELSE 1 END, g.max_durability"
	" FROM gain g CROSS JOIN LATERAL generate_series(1, CASE WHEN g.stackable THEN 1 ELSE g.quantity END)"
	" WHERE g.stack IS NULL",
};

static void bag_release(struct bag *bag)
{
	free(bag->player_ids);
	free(bag->quantities);
	free(bag->items);
}

static void bag_add(struct bag *bag, int64_t player_id, const char *item, int64_t quantity)
{
	if (bag->n == bag->cap) {
		bag->cap = bag->cap ? bag->cap * 2 : 64;
		bag->player_ids = must_realloc(bag->player_ids, bag->cap * sizeof(*bag->player_ids));
		bag->quantities = must_realloc(bag->quantities, bag->cap * sizeof(*bag->quantities));
		bag->items = must_realloc(bag->items, bag->cap * sizeof(*bag->items));
	}
	bag->player_ids[bag->n] = player_id;
	bag->quantities[bag->n] = quantity;
	bag->items[bag->n++] = item;
}

static void fill(struct bag *bag, const struct tick_batch *batch)
{
	const size_t n_items = batch->rules.n_items;
	CLEANUP(release_memory) int64_t *quantities = must_zalloc((n_items + 1) * sizeof(*quantities));

	for (size_t i = 0; i < batch->n; i++) {
		const struct tick *tick = &batch->ticks[i];

		if (!tick->credited || tick->reward.items == 0)
			continue;
		tick_batch_items(batch, tick, quantities);
		for (size_t item = 0; item < n_items; item++) {
			if (quantities[item] > 0)
				bag_add(bag, tick->player_id, batch->rules.items[item], quantities[item]);
			quantities[item] = 0;
		}
	}
}

bool loot_bag_queue(struct pg *pg, const struct tick_batch *batch)
{
	CLEANUP(bag_release) struct bag bag = { 0 };
	struct pg_params params = { 0 };

	fill(&bag, batch);
	if (bag.n == 0)
		return false;
	pg_add_int8_array(&params, bag.player_ids, bag.n);
	pg_add_text_array(&params, bag.items, bag.n);
	pg_add_int8_array(&params, bag.quantities, bag.n);
	pg_queue(pg, &give_items, &params);
	return true;
}

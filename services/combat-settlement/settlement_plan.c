#include "settlement_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/text.h"

int fight_order(const struct result_document *a, const struct result_document *b)
{
	if (a->meta.end_timestamp != b->meta.end_timestamp)
		return a->meta.end_timestamp < b->meta.end_timestamp ? -1 : 1;
	return uuid_compare(&a->session_id, &b->session_id);
}

static int compare_ints(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

/* ---- one character's part in one fight ---- */

struct part {
	size_t fight;
	const struct participant *participant;
};

static int by_character(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int order = compare_ints(x->participant->char_id, y->participant->char_id);

	return order ? order : compare_ints((int64_t)x->fight, (int64_t)y->fight);
}

/* All parts, sorted by character, then age. */
static struct part *list_parts(
	const struct result_document *const *fights, size_t n, size_t *n_parts, struct scratch *scratch)
{
	struct part *parts;
	size_t at = 0;

	*n_parts = 0;
	for (size_t i = 0; i < n; i++)
		*n_parts += fights[i]->participants.n;
	parts = scratch_array(scratch, *n_parts, sizeof(*parts));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < fights[i]->participants.n; k++)
			parts[at++] = (struct part){ i, document_participant(fights[i], k) };
	qsort(parts, *n_parts, sizeof(*parts), by_character);
	return parts;
}

static void name_newest(struct newest_rows *rows, size_t row, const struct result_document *fight)
{
	rows->ended_us[row] = fight->meta.end_timestamp * 1000000;
	rows->sessions[row] = fight->session_id;
}

static void set_gauge(int64_t *gauge, struct newest_rows *set_by, size_t row, const struct result_document *fight,
	const struct opt_int *value)
{
	if (!value->set)
		return;
	gauge[row] = value->value < 0 ? 0 : value->value;
	name_newest(set_by, row, fight);
}

/* Parts come by character, then age, so that the last one to say something is the newest. */
static void add_part(
	struct character_rows *rows, const struct result_document *fight, const struct participant *participant)
{
	const struct state_snapshot *snapshot = &participant->state_snapshot;
	size_t row = rows->n ? rows->n - 1 : 0;

	if (!rows->n || rows->ids[row] != participant->char_id) {
		row = rows->n++;
		rows->ids[row] = participant->char_id;
		rows->hp[row] = rows->energy[row] = -1;
	}
	rows->xp[row] += participant->changes.xp_gained;
	rows->gold[row] += participant->changes.gold_gained;
	name_newest(&rows->last, row, fight);
	set_gauge(rows->hp, &rows->hp_set, row, fight, &snapshot->hp);
	set_gauge(rows->energy, &rows->energy_set, row, fight, &snapshot->energy);
}

static struct newest_rows newest_rows_of(size_t n, struct scratch *scratch)
{
	return (struct newest_rows){
		.ended_us = scratch_array(scratch, n, sizeof(int64_t)),
		.sessions = scratch_array(scratch, n, sizeof(struct uuid)),
	};
}

static void sum_characters(struct character_rows *rows, const struct result_document *const *fights,
	const struct part *parts, size_t n, struct scratch *scratch)
{
	*rows = (struct character_rows){
		.ids = scratch_array(scratch, n, sizeof(*rows->ids)),
		.xp = scratch_array(scratch, n, sizeof(*rows->xp)),
		.gold = scratch_array(scratch, n, sizeof(*rows->gold)),
		.last = newest_rows_of(n, scratch),
		.hp = scratch_array(scratch, n, sizeof(*rows->hp)),
		.hp_set = newest_rows_of(n, scratch),
		.energy = scratch_array(scratch, n, sizeof(*rows->energy)),
		.energy_set = newest_rows_of(n, scratch),
	};
	for (size_t i = 0; i < n; i++)
		add_part(rows, fights[parts[i].fight], parts[i].participant);
}

/* ---- items consumed ---- */

static int by_item(const struct belt_claim *a, const struct belt_claim *b)
{
	int order = compare_ints(a->inventory_id, b->inventory_id);

	if (!order)
		order = compare_ints(a->owner, b->owner);
	return order ? order : strcmp(a->template, b->template);
}

static int by_item_and_fight(const void *a, const void *b)
{
	const struct belt_claim *x = a, *y = b;
	int order = by_item(x, y);

	return order ? order : compare_ints((int64_t)x->fight, (int64_t)y->fight);
}

static void list_claims(struct settlement_plan *plan, const struct part *parts, size_t n, struct scratch *scratch)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += parts[i].participant->changes.items_consumed.n;
	plan->claims = scratch_array(scratch, total, sizeof(*plan->claims));
	for (size_t i = 0; i < n; i++) {
		const struct participant *participant = parts[i].participant;
		const struct consumed_item *items = participant->changes.items_consumed.items;

		for (size_t k = 0; k < participant->changes.items_consumed.n; k++)
			plan->claims[plan->n_claims++] = (struct belt_claim){
				.fight = parts[i].fight,
				.inventory_id = items[k].inventory_id,
				.owner = participant->char_id,
				.template = items[k].item_template_id,
				.qty = items[k].qty,
			};
	}
	qsort(plan->claims, total, sizeof(*plan->claims), by_item_and_fight);
}

/* Several entries of one fight for one item add up. */
static void merge_claims(struct settlement_plan *plan)
{
	size_t kept = 0;

	for (size_t i = 0; i < plan->n_claims; i++) {
		struct belt_claim *claim = &plan->claims[i];

		if (kept && by_item_and_fight(&plan->claims[kept - 1], claim) == 0)
			plan->claims[kept - 1].qty += claim->qty;
		else
			plan->claims[kept++] = *claim;
	}
	plan->n_claims = kept;
	for (size_t i = 0; i < kept; i++)
		plan->claims[i].missing = plan->claims[i].qty;
}

static void sum_belt(struct settlement_plan *plan, struct scratch *scratch)
{
	struct belt_rows *rows = &plan->belt;
	size_t n = plan->n_claims;

	rows->inventory_ids = scratch_array(scratch, n, sizeof(*rows->inventory_ids));
	rows->owners = scratch_array(scratch, n, sizeof(*rows->owners));
	rows->templates = scratch_array(scratch, n, sizeof(*rows->templates));
	rows->qty = scratch_array(scratch, n, sizeof(*rows->qty));
	rows->first_claim = scratch_array(scratch, n + 1, sizeof(*rows->first_claim));
	for (size_t i = 0; i < n; i++) {
		const struct belt_claim *claim = &plan->claims[i];

		if (i == 0 || by_item(claim - 1, claim) != 0) {
			rows->inventory_ids[rows->n] = claim->inventory_id;
			rows->owners[rows->n] = claim->owner;
			rows->templates[rows->n] = claim->template;
			rows->first_claim[rows->n++] = i;
		}
		rows->qty[rows->n - 1] += claim->qty;
	}
	rows->first_claim[rows->n] = n;
}

/* ---- loot and wear ---- */

struct owned {
	int64_t owner;
	const char *template;
	int64_t qty;
};

static int by_owner(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	int order = compare_ints(x->owner, y->owner);

	return order ? order : strcmp(x->template, y->template);
}

static void sum_owned(struct owner_rows *rows, struct owned *items, size_t n, struct scratch *scratch)
{
	qsort(items, n, sizeof(*items), by_owner);
	rows->owners = scratch_array(scratch, n, sizeof(*rows->owners));
	rows->templates = scratch_array(scratch, n, sizeof(*rows->templates));
	rows->qty = scratch_array(scratch, n, sizeof(*rows->qty));
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || by_owner(&items[i - 1], &items[i]) != 0) {
			rows->owners[rows->n] = items[i].owner;
			rows->templates[rows->n++] = items[i].template;
		}
		rows->qty[rows->n - 1] += items[i].qty;
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_made(struct settlement_plan *plan)
{
	size_t kept = 0;

	qsort(plan->made, plan->n_made, sizeof(*plan->made), by_text);
	for (size_t i = 0; i < plan->n_made; i++)
		if (kept == 0 || strcmp(plan->made[kept - 1], plan->made[i]) != 0)
			plan->made[kept++] = plan->made[i];
	plan->n_made = kept;
}

static void sum_loot(struct settlement_plan *plan, const struct part *parts, size_t n, struct scratch *scratch)
{
	struct owned *items;
	size_t total = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		total += grants_count(parts[i].participant);
	items = scratch_array(scratch, total, sizeof(*items));
	plan->made = scratch_array(scratch, total, sizeof(*plan->made));
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < grants_count(parts[i].participant); k++) {
			struct grant grant = grant_at(parts[i].participant, k);

			items[at++] = (struct owned){ parts[i].participant->char_id, grant.item_template_id,
				grant.qty };
			if (grant.by_name)
				plan->made[plan->n_made++] = grant.item_template_id;
		}
	}
	sum_owned(&plan->loot, items, total, scratch);
	sort_made(plan);
}

static void sum_wear(struct settlement_plan *plan, const struct part *parts, size_t n, struct scratch *scratch)
{
	struct owned *items;
	size_t total = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		total += parts[i].participant->changes.durability_loss.n;
	items = scratch_array(scratch, total, sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		const struct map *map = &parts[i].participant->changes.durability_loss;
		const struct durability_loss *losses = map->items;

		for (size_t k = 0; k < map->n; k++)
			items[at++] = (struct owned){ parts[i].participant->char_id, durability_template(&losses[k]),
				losses[k].loss };
	}
	sum_owned(&plan->wear, items, total, scratch);
}

void plan_make(
	struct settlement_plan *plan, const struct result_document *const *fights, size_t n, struct scratch *scratch)
{
	size_t n_parts;
	struct part *parts = list_parts(fights, n, &n_parts, scratch);

	*plan = (struct settlement_plan){ 0 };
	sum_characters(&plan->characters, fights, parts, n_parts, scratch);
	list_claims(plan, parts, n_parts, scratch);
	merge_claims(plan);
	sum_belt(plan, scratch);
	sum_loot(plan, parts, n_parts, scratch);
	sum_wear(plan, parts, n_parts, scratch);
}

/* ---- shortfalls ---- */

void plan_take(struct settlement_plan *plan, size_t row, int64_t taken)
{
	for (size_t i = plan->belt.first_claim[row]; i < plan->belt.first_claim[row + 1]; i++) {
		struct belt_claim *claim = &plan->claims[i];
		int64_t part = taken < claim->missing ? taken : claim->missing;

		claim->missing -= part;
		taken -= part;
	}
}

static int by_fight(const void *a, const void *b)
{
	const struct belt_claim *x = *(const struct belt_claim *const *)a, *y = *(const struct belt_claim *const *)b;
	int order = compare_ints((int64_t)x->fight, (int64_t)y->fight);

	return order ? order : by_item(x, y);
}

void plan_gather_shortfalls(struct settlement_plan *plan, struct scratch *scratch)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_claims; i++)
		n += plan->claims[i].missing > 0;
	plan->shortfalls = scratch_array(scratch, n, sizeof(*plan->shortfalls));
	plan->n_shortfalls = 0;
	for (size_t i = 0; i < plan->n_claims; i++)
		if (plan->claims[i].missing > 0)
			plan->shortfalls[plan->n_shortfalls++] = &plan->claims[i];
	qsort(plan->shortfalls, n, sizeof(*plan->shortfalls), by_fight);
}

size_t plan_write_shortfalls(const struct settlement_plan *plan, size_t *next, struct text *out)
{
	size_t fight = plan->shortfalls[*next]->fight;

	json_open(out, '[');
	for (; *next < plan->n_shortfalls && plan->shortfalls[*next]->fight == fight; ++*next) {
		const struct belt_claim *claim = plan->shortfalls[*next];

		json_open(out, '{');
		json_key_int(out, "char_id", claim->owner);
		json_key_int(out, "inventory_id", claim->inventory_id);
		json_key_string(out, "item_template_id", claim->template);
		json_key_int(out, "missing", claim->missing);
		json_close(out, '}');
	}
	json_close(out, ']');
	return fight;
}

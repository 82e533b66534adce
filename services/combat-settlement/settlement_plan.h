/*
 * What a batch of fights changes, summed up by row, so that each row of the database is named once: the input of set-based
 * statements. Pure: no I/O.
 */
#ifndef SETTLEMENT_PLAN_H
#define SETTLEMENT_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "result_document.h"

/* Something that the newest fight to mention it decides: which fight that is. */
struct newest_rows {
	int64_t *ended_us;
	struct uuid *sessions;
};

/* Sorted by id. hp and energy are -1 where no fight mentions them. */
struct character_rows {
	size_t n;
	int64_t *ids;
	int64_t *xp;
	int64_t *gold;
	struct newest_rows last;
	int64_t *hp;
	struct newest_rows hp_set;
	int64_t *energy;
	struct newest_rows energy_set;
};

/* Sorted by inventory id, then owner and template: one row for each claim that somebody consumed of an item. */
struct belt_rows {
	size_t n;
	int64_t *inventory_ids;
	int64_t *owners;
	const char **templates;
	int64_t *qty;
	size_t *first_claim; /* claims of row i: first_claim[i] up to first_claim[i + 1] */
};

/* One fight's part in a belt row; missing is filled by plan_take(). */
struct belt_claim {
	size_t fight; /* index into the fights planned */
	int64_t inventory_id;
	int64_t owner;
	const char *template;
	int64_t qty;
	int64_t missing;
};

/* Sorted by owner and template: loot to be put on stacks, and durability lost. */
struct owner_rows {
	size_t n;
	int64_t *owners;
	const char **templates;
	int64_t *qty;
};

struct settlement_plan {
	struct character_rows characters;
	struct belt_rows belt;
	struct belt_claim *claims; /* the oldest fight first within each belt row */
	size_t n_claims;
	const struct belt_claim **shortfalls; /* filled by plan_gather_shortfalls() */
	size_t n_shortfalls;
	struct owner_rows loot;
	struct owner_rows wear;
	/* Templates named by loot alone, made if need be: sorted, each once. */
	const char **made;
	size_t n_made;
};

/* The order of fights: by end, then session. Any thread. */
int fight_order(const struct result_document *a, const struct result_document *b);

/*
 * Sums up n fights, which must be sorted by fight_order() and have distinct sessions. Everything lives in scratch; strings are the
 * documents'. Any thread.
 */
void plan_make(
	struct settlement_plan *plan, const struct result_document *const *fights, size_t n, struct scratch *scratch);

/*
 * Of belt row `row`, `taken` pieces were there: shared out among its claims, the oldest fight first. A claim that nothing was taken
 * for is missing whole. Any thread.
 */
void plan_take(struct settlement_plan *plan, size_t row, int64_t taken);

/* After the last plan_take(): gathers the claims that something is missing of, sorted by fight. Any thread. */
void plan_gather_shortfalls(struct settlement_plan *plan, struct scratch *scratch);

/*
 * Appends the shortfalls of the fight at *next as a JSON array [{"char_id", "inventory_id", "item_template_id", "missing"}], moves
 * *next to the following fight's and returns the fight. *next must be below n_shortfalls. Any thread.
 */
size_t plan_write_shortfalls(const struct settlement_plan *plan, size_t *next, struct text *out);

#endif

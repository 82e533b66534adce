#include "settlement_attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/crash.h"
#include "fight_fences.h"
#include "settlement_claim.h"
#include "settlement_plan.h"
#include "settlement_sql.h"

/* One transaction. */
struct attempt {
	struct pg *pg;
	const struct templates *templates;
	struct scratch *scratch;
	struct fight **fights; /* those claimed, in fight_order() */
	size_t n;
	struct settlement_plan plan;
	const struct result_document **documents; /* of .fights, for the plan */
	size_t *stacks;				  /* the loot row of each row that is put on stacks */
};

/* ---- effects ---- */

static const struct template_row *find_template(const struct templates *templates, const char *id)
{
	size_t low = 0, high = templates->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(templates->rows[middle].id, id);

		if (order == 0)
			return &templates->rows[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The loot that goes onto stacks; what nobody described is stackable, as the table's default says. */
static struct owner_rows stackable_loot(struct attempt *attempt)
{
	const struct owner_rows *loot = &attempt->plan.loot;
	struct owner_rows rows = {
		.owners = scratch_array(attempt->scratch, loot->n, sizeof(*rows.owners)),
		.templates = scratch_array(attempt->scratch, loot->n, sizeof(*rows.templates)),
		.qty = scratch_array(attempt->scratch, loot->n, sizeof(*rows.qty)),
	};

	attempt->stacks = scratch_array(attempt->scratch, loot->n, sizeof(*attempt->stacks));
	for (size_t i = 0; i < loot->n; i++) {
		const struct template_row *template = find_template(attempt->templates, loot->templates[i]);

		if (template && !template->stackable)
			continue;
		rows.owners[rows.n] = loot->owners[i];
		rows.templates[rows.n] = loot->templates[i];
		rows.qty[rows.n] = loot->qty[i];
		attempt->stacks[rows.n++] = i;
	}
	return rows;
}

enum effect {
	EFFECT_TEMPLATES, /* not sent when there are none to make */
	EFFECT_CHARACTERS,
	EFFECT_BELT,
	EFFECT_STACKS,
	EFFECT_WEAR,
	EFFECT_SNAPSHOTS,
	EFFECT_COUNT
};

static int change(struct attempt *attempt, struct pg_rows answers[EFFECT_COUNT], struct error *err)
{
	struct settlement_plan *plan = &attempt->plan;
	struct uuid *sessions = scratch_array(attempt->scratch, attempt->n, sizeof(*sessions));
	struct owner_rows stacks = stackable_loot(attempt);
	/* The first effect, whose answer nobody reads, and which almost no batch has. */
	size_t skipped = plan->n_made ? 0 : 1;

	for (size_t i = 0; i < attempt->n; i++)
		sessions[i] = attempt->documents[i]->session_id;
	if (plan->n_made)
		sql_make_templates(attempt->pg, plan->made, plan->n_made);
	sql_change_characters(attempt->pg, &plan->characters);
	sql_take_from_belt(attempt->pg, &plan->belt);
	sql_add_to_stacks(attempt->pg, &stacks);
	sql_wear(attempt->pg, &plan->wear);
	sql_forget_snapshots(attempt->pg, sessions, attempt->n);
	return pg_sync(attempt->pg, answers + skipped, EFFECT_COUNT - skipped, err);
}

/* Decides the fights in which somebody does not exist; returns their number. */
static size_t refuse_strangers(struct attempt *attempt, const struct fences *fences)
{
	size_t refused = 0;

	for (size_t i = 0; i < attempt->n; i++) {
		struct fight *fight = attempt->fights[i];

		for (size_t k = 0; k < fight->document->participants.n; k++) {
			int64_t id = document_participant(fight->document, k)->char_id;
			struct error error;

			if (fences_know(fences, id))
				continue;
			error_set(&error, CODE_NOT_FOUND, "there is no character %lld", (long long)id);
			fight_decide(fight, FIGHT_HOPELESS, &error, attempt->scratch);
			refused++;
			break;
		}
	}
	return refused;
}

/* ---- finishing ---- */

/* More rows of one item than this are never made: the last one then holds the rest. */
#define PIECES_MAX 1000

static void add_item(struct new_items *items, int64_t owner, const char *template, int64_t qty, int64_t durability)
{
	size_t i = items->n++;

	items->owners[i] = owner;
	items->templates[i] = template;
	items->qty[i] = qty;
	items->durability[i] = durability;
}

static size_t pieces_of(const struct template_row *template, int64_t qty)
{
	if (!template || template->stackable)
		return 1;
	return qty < PIECES_MAX ? (size_t)qty : PIECES_MAX;
}

/* Loot that found no stack: a new stack, or, of what does not stack, a row for each piece. */
static struct new_items new_loot(struct attempt *attempt, const struct pg_rows *stacked)
{
	const struct owner_rows *loot = &attempt->plan.loot;
	bool *done = scratch_array(attempt->scratch, loot->n, sizeof(*done));
	struct new_items items = { 0 };
	size_t total = 0;

	for (int row = 0; row < stacked->n; row++)
		done[attempt->stacks[pg_int(stacked, row, 0) - 1]] = true;
	for (size_t i = 0; i < loot->n; i++)
		if (!done[i])
			total += pieces_of(find_template(attempt->templates, loot->templates[i]), loot->qty[i]);
	items.owners = scratch_array(attempt->scratch, total, sizeof(*items.owners));
	items.templates = scratch_array(attempt->scratch, total, sizeof(*items.templates));
	items.qty = scratch_array(attempt->scratch, total, sizeof(*items.qty));
	items.durability = scratch_array(attempt->scratch, total, sizeof(*items.durability));
	for (size_t i = 0; i < loot->n; i++) {
		const struct template_row *template = find_template(attempt->templates, loot->templates[i]);
		size_t pieces = done[i] ? 0 : pieces_of(template, loot->qty[i]);
		int64_t left = loot->qty[i];

		for (size_t k = 0; k < pieces; k++) {
			int64_t qty = k + 1 < pieces ? 1 : left;

			add_item(&items, loot->owners[i], loot->templates[i], qty,
				template ? template->max_durability : -1);
			left -= qty;
		}
	}
	return items;
}

/* Reads what was really taken; returns the number of items used up, their ids in *ids. */
static size_t read_belt(struct attempt *attempt, const struct pg_rows *taken, int64_t **ids)
{
	struct settlement_plan *plan = &attempt->plan;
	size_t used_up = 0;

	*ids = scratch_array(attempt->scratch, (size_t)taken->n, sizeof(**ids));
	for (int row = 0; row < taken->n; row++) {
		size_t place = (size_t)pg_int(taken, row, 0) - 1;
		int64_t left = pg_int(taken, row, 2);
		int64_t asked = plan->belt.qty[place] < TAKEN_MAX ? plan->belt.qty[place] : TAKEN_MAX;

		plan_take(plan, place, left < 0 ? asked + left : asked);
		if (left <= 0)
			(*ids)[used_up++] = pg_int(taken, row, 1);
	}
	plan_gather_shortfalls(plan, attempt->scratch);
	return used_up;
}

static void queue_shortfalls(struct attempt *attempt)
{
	struct settlement_plan *plan = &attempt->plan;
	struct uuid *sessions = scratch_array(attempt->scratch, attempt->n, sizeof(*sessions));
	const char **texts = scratch_array(attempt->scratch, attempt->n, sizeof(*texts));
	size_t *lens = scratch_array(attempt->scratch, attempt->n, sizeof(*lens));
	CLEANUP(text_release) struct text text = { 0 };
	size_t n = 0;

	for (size_t next = 0; next < plan->n_shortfalls;) {
		struct fight *fight;

		text_reset(&text);
		fight = attempt->fights[plan_write_shortfalls(plan, &next, &text)];
		fight->shortfalls = scratch_memdup(attempt->scratch, text.bytes, text.len);
		fight->shortfalls_len = text.len;
		sessions[n] = fight->document->session_id;
		texts[n] = fight->shortfalls;
		lens[n++] = fight->shortfalls_len;
	}
	sql_record_shortfalls(attempt->pg, sessions, texts, lens, n);
}

/* The second half, which needs the answers of the first, and the commit. */
static int finish(struct attempt *attempt, const struct pg_rows answers[EFFECT_COUNT], struct error *err)
{
	struct new_items items = new_loot(attempt, &answers[EFFECT_STACKS]);
	size_t statements = 0, used_up;
	int64_t *ids;

	used_up = read_belt(attempt, &answers[EFFECT_BELT], &ids);
	if (used_up) {
		sql_remove_items(attempt->pg, ids, used_up);
		statements++;
	}
	if (items.n) {
		sql_insert_items(attempt->pg, &items);
		statements++;
	}
	if (attempt->plan.n_shortfalls) {
		queue_shortfalls(attempt);
		statements++;
	}
	pg_commit(attempt->pg);
	return pg_sync(attempt->pg, NULL, statements, err);
}

static void release_answers(struct pg_rows (*answers)[EFFECT_COUNT])
{
	for (size_t i = 0; i < EFFECT_COUNT; i++)
		pg_rows_release(&(*answers)[i]);
}

static int settle_claimed(struct attempt *attempt, struct error *err)
{
	struct pg_rows answers[EFFECT_COUNT] CLEANUP(release_answers) = { 0 };
	const struct character_rows *characters = &attempt->plan.characters;
	struct fences fences;

	attempt->documents = scratch_array(attempt->scratch, attempt->n, sizeof(*attempt->documents));
	for (size_t i = 0; i < attempt->n; i++) {
		attempt->documents[i] = attempt->fights[i]->document;
		attempt->fights[i]->shortfalls = NULL;
	}
	plan_make(&attempt->plan, attempt->documents, attempt->n, attempt->scratch);
	if (change(attempt, answers, err))
		return -1;
	crash_point("fights_changed");
	fences = fences_read(characters->ids, characters->n, &answers[EFFECT_CHARACTERS], attempt->scratch);
	if (refuse_strangers(attempt, &fences)) {
		pg_rollback(attempt->pg);
		return 0;
	}
	if (finish(attempt, answers, err))
		return -1;
	crash_point("fights_committed");
	for (size_t i = 0; i < attempt->n; i++) {
		fight_decide(attempt->fights[i], FIGHT_SETTLED, NULL, attempt->scratch);
		fences_apply(&fences, attempt->fights[i], attempt->scratch);
	}
	return 0;
}

int settlement_attempt(struct pg *pg, struct fight *const *fights, size_t n, const struct templates *templates,
	struct scratch *scratch, struct error *err)
{
	struct attempt attempt = { .pg = pg, .templates = templates, .scratch = scratch };
	struct claimed claimed;

	pg_begin(pg);
	if (settlement_claim(pg, fights, n, &claimed, scratch, err))
		return -1;
	crash_point("fights_claimed");
	attempt.fights = claimed.fights;
	attempt.n = claimed.n;
	if (attempt.n)
		return settle_claimed(&attempt, err);
	pg_commit(pg);
	return pg_sync(pg, NULL, 0, err);
}

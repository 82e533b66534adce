#include "result_document.h"

#include <stdio.h>
#include <string.h>

#define AMOUNT_MAX ((int64_t)1000000000000)
#define QUANTITY_MAX 1000000
#define NAME_MAX_LEN 128
#define ITEM_PREFIX "item:"

const char *const finish_reasons[FINISH_COUNT] = {
	[FINISH_VICTORY] = "victory",
	[FINISH_DEFEAT] = "defeat",
	[FINISH_FLEE] = "flee",
	[FINISH_DRAW] = "draw",
};

/* ---- field tables ---- */

static const struct field meta_fields[] = {
	FIELD(struct fight_meta, end_timestamp, .required = true, .min = 0, .max = END_TIMESTAMP_MAX,
		.help = "when the fight ended, whole Unix seconds"),
	FIELD(struct fight_meta, winner_team, .nullable = true, .max = NAME_MAX_LEN,
		.help = "blue, red or any other name, empty where nobody won; required unless finish_reason is draw"),
	FIELD(struct fight_meta, finish_reason, .required = true, .choices = finish_reasons, .n_choices = FINISH_COUNT,
		.help = "how it ended"),
};
const struct schema fight_meta_schema = SCHEMA(struct fight_meta, meta_fields, .name = "meta");

static const struct field snapshot_fields[] = {
	FIELD(struct state_snapshot, hp, .help = "hit points left; cut to 0..max"),
	FIELD(struct state_snapshot, energy, .help = "energy left; cut to 0..max"),
};
static const struct schema snapshot_schema = SCHEMA(struct state_snapshot, snapshot_fields, .name = "state_snapshot");

static const struct field consumed_fields[] = {
	FIELD(struct consumed_item, inventory_id, .required = true, .min = 1, .max = INT_LIMIT,
		.help = "the row of inventory"),
	FIELD(struct consumed_item, item_template_id, .required = true, .min = 1, .max = NAME_MAX_LEN,
		.help = "its template; a row of another one is a shortfall"),
	FIELD(struct consumed_item, qty, .required = true, .min = 1, .max = QUANTITY_MAX, .help = "pieces spent"),
};
static const struct schema consumed_schema = SCHEMA(struct consumed_item, consumed_fields, .name = "consumed item");

static const struct field gained_fields[] = {
	FIELD(struct gained_item, item_template_id, .required = true, .min = 1, .max = NAME_MAX_LEN,
		.help = "the template"),
	FIELD(struct gained_item, qty, .required = true, .min = 1, .max = QUANTITY_MAX, .help = "pieces granted"),
};
static const struct schema gained_schema = SCHEMA(struct gained_item, gained_fields, .name = "gained item");

static const struct field loss_fields[] = {
	FIELD(struct durability_loss, item, .help = "item:<item_template_id>, an item that the character has equipped"),
	FIELD(struct durability_loss, loss, .as = "", .required = true, .min = 0, .max = AMOUNT_MAX,
		.help = "durability lost; it does not fall below 0"),
};
static const struct schema loss_schema = SCHEMA(struct durability_loss, loss_fields, .name = "durability loss");

static const struct field changes_fields[] = {
	FIELD(struct changes, xp_gained, .required = true, .min = 0, .max = AMOUNT_MAX, .help = "experience"),
	FIELD(struct changes, gold_gained, .required = true, .min = 0, .max = AMOUNT_MAX, .help = "gold"),
	FIELD(struct changes, items_consumed, .of = &consumed_schema,
		.help = "what was spent of the character's own items"),
	FIELD(struct changes, items_gained, .of = &gained_schema,
		.help = "what is granted; where it is absent, ui_report.loot_obtained is"),
	FIELD(struct changes, durability_loss, .of = &loss_schema,
		.help = "wear of equipped items, by item:<item_template_id>"),
};
static const struct schema changes_schema = SCHEMA(struct changes, changes_fields, .name = "changes");

static const struct field loot_fields[] = {
	FIELD(struct loot_entry, item_template_id, .nullable = true, .min = 1, .max = NAME_MAX_LEN,
		.help = "the template"),
	FIELD(struct loot_entry, name, .nullable = true, .min = 1, .max = NAME_MAX_LEN,
		.help = "what the player reads; the template's id where none is given"),
	FIELD(struct loot_entry, qty, .required = true, .min = 1, .max = QUANTITY_MAX, .help = "pieces"),
};
static const struct schema loot_schema = SCHEMA(struct loot_entry, loot_fields, .name = "loot");

static const struct field report_fields[] = {
	FIELD(struct ui_report, damage_dealt, .min = 0, .max = AMOUNT_MAX, .help = "for the player's eyes"),
	FIELD(struct ui_report, loot_obtained, .of = &loot_schema,
		.help = "for the player's eyes, unless items_gained is absent"),
};
static const struct schema report_schema = SCHEMA(struct ui_report, report_fields, .name = "ui_report");

static const struct field participant_fields[] = {
	FIELD(struct participant, char_id, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct participant, is_winner, .required = true, .help = "on the winning side"),
	FIELD(struct participant, state_snapshot, .of = &snapshot_schema, .help = "vitals at the end of the fight"),
	FIELD(struct participant, changes, .required = true, .of = &changes_schema, .help = "what the fight changes"),
	FIELD(struct participant, ui_report, .of = &report_schema, .help = "what the player is shown"),
};
const struct schema participant_schema = SCHEMA(struct participant, participant_fields, .name = "participant");

static const struct field document_fields[] = {
	FIELD(struct result_document, session_id, .required = true, .help = "the fight; settled once for ever"),
	FIELD(struct result_document, meta, .required = true, .of = &fight_meta_schema, .help = "how the fight ended"),
	FIELD(struct result_document, participants, .required = true, .min = 1, .max = 64, .of = &participant_schema,
		.help = "by character id"),
	FIELD(struct result_document, replay_log, .nullable = true, .help = "any JSON; kept in the history"),
};
const struct schema settle_combat_request = SCHEMA(
	struct result_document, document_fields, .name = "settle_combat request");

/* ---- grants ---- */

static bool grants_loot(const struct participant *participant)
{
	return !participant->changes.items_gained.items;
}

size_t grants_count(const struct participant *participant)
{
	return grants_loot(participant) ? participant->ui_report.loot_obtained.n : participant->changes.items_gained.n;
}

/*
 * What the player reads for the i-th gained item: the loot entry of the same template, or, where loot is told by name only, the
 * entry in the same place, when the two lists run side by side.
 */
static const char *loot_name(const struct participant *participant, size_t i)
{
	const struct gained_item *gained = participant->changes.items_gained.items;
	const struct loot_entry *loot = participant->ui_report.loot_obtained.items;
	size_t n = participant->ui_report.loot_obtained.n;

	for (size_t k = 0; k < n; k++)
		if (loot[k].name && loot[k].item_template_id &&
			strcmp(loot[k].item_template_id, gained[i].item_template_id) == 0)
			return loot[k].name;
	if (n == participant->changes.items_gained.n && !loot[i].item_template_id && loot[i].qty == gained[i].qty)
		return loot[i].name;
	return NULL;
}

struct grant grant_at(const struct participant *participant, size_t i)
{
	const struct gained_item *gained = participant->changes.items_gained.items;
	const struct loot_entry *loot = participant->ui_report.loot_obtained.items;

	if (!grants_loot(participant))
		return (struct grant){ .item_template_id = gained[i].item_template_id,
			.name = loot_name(participant, i),
			.qty = gained[i].qty };
	return (struct grant){ .item_template_id = loot[i].item_template_id ? loot[i].item_template_id : loot[i].name,
		.name = loot[i].name,
		.qty = loot[i].qty,
		.by_name = !loot[i].item_template_id };
}

const char *durability_template(const struct durability_loss *loss)
{
	size_t prefix = sizeof(ITEM_PREFIX) - 1;

	return strncmp(loss->item, ITEM_PREFIX, prefix) == 0 && loss->item[prefix] ? loss->item + prefix : NULL;
}

/* ---- checks ---- */

struct checking {
	const struct document_limits *limits;
	struct document_problem *out;
	size_t n, max;
	struct scratch *scratch;
	int64_t char_id;
};

static void found(struct checking *checking, const char *field, const char *problem)
{
	if (checking->n < checking->max)
		checking->out[checking->n++] = (struct document_problem){ field, problem };
}

/* A problem at participants.<id>.<path>. */
static void found_at(struct checking *checking, const char *path, const char *problem)
{
	found(checking, scratch_printf(checking->scratch, "participants.%lld.%s", (long long)checking->char_id, path),
		problem);
}

static const char *too_much(struct checking *checking, int64_t limit)
{
	return scratch_printf(checking->scratch, "must be at most %lld", (long long)limit);
}

static void check_amount(struct checking *checking, const char *path, int64_t amount)
{
	if (amount > checking->limits->amount_max)
		found_at(checking, path, too_much(checking, checking->limits->amount_max));
}

static void check_quantity(struct checking *checking, const char *list, size_t i, int64_t qty)
{
	if (qty > checking->limits->quantity_max)
		found_at(checking, scratch_printf(checking->scratch, "%s.%zu.qty", list, i),
			too_much(checking, checking->limits->quantity_max));
}

static void check_items(struct checking *checking, const struct participant *participant)
{
	const struct consumed_item *consumed = participant->changes.items_consumed.items;
	const struct loot_entry *loot = participant->ui_report.loot_obtained.items;
	bool by_loot = grants_loot(participant);

	for (size_t i = 0; i < participant->changes.items_consumed.n; i++)
		check_quantity(checking, "changes.items_consumed", i, consumed[i].qty);
	for (size_t i = 0; i < grants_count(participant); i++)
		check_quantity(checking, by_loot ? "ui_report.loot_obtained" : "changes.items_gained", i,
			grant_at(participant, i).qty);
	for (size_t i = 0; by_loot && i < participant->ui_report.loot_obtained.n; i++)
		if (!loot[i].item_template_id && !loot[i].name)
			found_at(checking, scratch_printf(checking->scratch, "ui_report.loot_obtained.%zu.name", i),
				"is required where item_template_id is absent and the loot is to be granted");
}

static void check_participant(struct checking *checking, const struct participant *participant)
{
	const struct durability_loss *loss = participant->changes.durability_loss.items;

	checking->char_id = participant->char_id;
	check_amount(checking, "changes.xp_gained", participant->changes.xp_gained);
	check_amount(checking, "changes.gold_gained", participant->changes.gold_gained);
	check_amount(checking, "ui_report.damage_dealt", participant->ui_report.damage_dealt);
	check_items(checking, participant);
	for (size_t i = 0; i < participant->changes.durability_loss.n; i++) {
		const char *path = scratch_printf(checking->scratch, "changes.durability_loss.%s", loss[i].item);

		if (!durability_template(&loss[i]))
			found_at(checking, path, "must be named item:<item_template_id>");
		check_amount(checking, path, loss[i].loss);
	}
}

size_t document_check(const struct result_document *document, const struct document_limits *limits,
	struct document_problem *out, size_t max, struct scratch *scratch)
{
	struct checking checking = { .limits = limits, .out = out, .max = max, .scratch = scratch };

	if (!document->meta.winner_team && document->meta.finish_reason != FINISH_DRAW)
		found(&checking, "meta.winner_team", "is required unless finish_reason is draw");
	if ((int64_t)document->participants.n > limits->participants_max)
		found(&checking, "participants", too_much(&checking, limits->participants_max));
	for (size_t i = 0; i < document->participants.n; i++)
		check_participant(&checking, document_participant(document, i));
	return checking.n;
}

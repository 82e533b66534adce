#include "fight_summary.h"

#include <stdio.h>
#include <string.h>

/* ---- field tables ---- */

/* An item as others see it, and as the tombstone keeps it: with its names, so that a text needs no database. */
static const struct field item_fields[] = {
	FIELD(struct granted_item, item_template_id, .required = true, .help = "the template"),
	FIELD(struct granted_item, qty, .required = true, .help = "pieces"),
};
static const struct schema item_schema = SCHEMA(struct granted_item, item_fields, .name = "granted item");

static const struct field named_item_fields[] = {
	FIELD(struct granted_item, item_template_id, .required = true, .help = "the template"),
	FIELD(struct granted_item, qty, .required = true, .help = "pieces"),
	FIELD(struct granted_item, name, .help = "what the player reads"),
	FIELD(struct granted_item, name_en, .help = "the same in English"),
};
static const struct schema named_item_schema = SCHEMA(struct granted_item, named_item_fields, .name = "named item");

static const struct field share_fields[] = {
	FIELD(struct fight_share, char_id, .help = "the character"),
	FIELD(struct fight_share, is_winner, .required = true, .help = "on the winning side"),
	FIELD(struct fight_share, xp_gained, .required = true, .help = "experience"),
	FIELD(struct fight_share, gold_gained, .required = true, .help = "gold"),
	FIELD(struct fight_share, items_gained, .required = true, .of = &named_item_schema, .help = "items"),
	FIELD(struct fight_share, damage_dealt, .required = true, .help = "damage"),
};
static const struct schema share_schema = SCHEMA(struct fight_share, share_fields, .name = "share");

static const struct field summary_fields[] = {
	FIELD(struct fight_summary, session_id, .required = true, .help = "the fight"),
	FIELD(struct fight_summary, finish_reason, .required = true, .choices = finish_reasons,
		.n_choices = FINISH_COUNT, .help = "how it ended"),
	FIELD(struct fight_summary, winner_team, .nullable = true, .help = "who won"),
	FIELD(struct fight_summary, finished_at, .required = true, .help = "when it ended"),
	FIELD(struct fight_summary, participants, .required = true, .of = &share_schema, .help = "by character id"),
};
const struct schema fight_summary_schema = SCHEMA(struct fight_summary, summary_fields, .name = "tombstone");

static const struct field result_fields[] = {
	FIELD(struct fight_result, session_id, .required = true, .help = "the fight"),
	FIELD(struct fight_result, finish_reason, .required = true, .choices = finish_reasons,
		.n_choices = FINISH_COUNT, .help = "how it ended"),
	FIELD(struct fight_result, winner_team, .nullable = true, .help = "who won; null for a draw that names nobody"),
	FIELD(struct fight_result, finished_at, .required = true, .help = "when it ended"),
	FIELD(struct fight_result, is_winner, .required = true, .help = "whether the asker was on the winning side"),
	FIELD(struct fight_result, xp_gained, .required = true, .help = "the asker's experience"),
	FIELD(struct fight_result, gold_gained, .required = true, .help = "the asker's gold"),
	FIELD(struct fight_result, items_gained, .required = true, .of = &item_schema, .help = "the asker's loot"),
	FIELD(struct fight_result, damage_dealt, .required = true, .help = "the asker's damage; 0 when not told"),
};
const struct schema fight_result_schema = SCHEMA(struct fight_result, result_fields, .name = "fight result");

/* The event in the shape of structs; fight_event_write() writes it without making them. */
struct told_result {
	int64_t char_id;
	struct fight_result result;
};
static const struct field told_result_fields[] = {
	FIELD(struct told_result, char_id, .help = "a character who was in the fight"),
	FIELD(struct told_result, result, .as = "", .required = true, .of = &fight_result_schema),
};
static const struct schema told_result_schema = SCHEMA(struct told_result, told_result_fields, .name = "told result");

struct told_shortfall {
	int64_t char_id;
	int64_t inventory_id;
	const char *item_template_id;
	int64_t missing;
};
static const struct field told_shortfall_fields[] = {
	FIELD(struct told_shortfall, char_id, .required = true, .help = "who was to consume it"),
	FIELD(struct told_shortfall, inventory_id, .required = true, .help = "the row named in the document"),
	FIELD(struct told_shortfall, item_template_id, .required = true, .help = "the template named in the document"),
	FIELD(struct told_shortfall, missing, .required = true, .help = "pieces that were not there"),
};
static const struct schema told_shortfall_schema = SCHEMA(
	struct told_shortfall, told_shortfall_fields, .name = "shortfall");

struct fight_event {
	struct uuid session_id;
	struct map participants;
	struct list shortfalls;
};
static const struct field fight_event_fields[] = {
	FIELD(struct fight_event, session_id, .required = true, .help = "the fight"),
	FIELD(struct fight_event, participants, .required = true, .of = &told_result_schema,
		.help = "what each brought home"),
	FIELD(struct fight_event, shortfalls, .required = true, .of = &told_shortfall_schema,
		.help = "what was to be consumed and was not there"),
};
const struct schema fight_event_schema = SCHEMA(
	struct fight_event, fight_event_fields, .name = "combat-settlement.settled");

/* ---- from the document ---- */

static const struct item_name *find_name(const struct item_names *names, const char *id)
{
	size_t low = 0, high = names->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(names->items[middle].item_template_id, id);

		if (order == 0)
			return &names->items[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

static struct granted_item name_grant(const struct grant *grant, const struct item_names *names)
{
	const struct item_name *known = find_name(names, grant->item_template_id);
	struct granted_item item = {
		.item_template_id = grant->item_template_id, .qty = grant->qty, .name = grant->name
	};

	if (!known)
		return item;
	if (!item.name)
		item.name = or_null(known->name);
	item.name_en = or_null(known->name_en);
	return item;
}

struct fight_share fight_share_of(
	const struct participant *participant, const struct item_names *names, struct scratch *scratch)
{
	size_t n = grants_count(participant), kept = 0;
	struct granted_item *items = scratch_array(scratch, n, sizeof(*items));

	for (size_t i = 0; i < n; i++) {
		struct grant grant = grant_at(participant, i);

		if (grant.item_template_id)
			items[kept++] = name_grant(&grant, names);
	}
	return (struct fight_share){
		.char_id = participant->char_id,
		.is_winner = participant->is_winner,
		.xp_gained = participant->changes.xp_gained,
		.gold_gained = participant->changes.gold_gained,
		.items_gained = { .n = kept, .items = items },
		.damage_dealt = participant->ui_report.damage_dealt,
	};
}

struct fight_summary fight_summary_of(
	const struct result_document *document, const struct item_names *names, struct scratch *scratch)
{
	size_t n = document->participants.n;
	struct fight_share *shares = scratch_array(scratch, n, sizeof(*shares));

	for (size_t i = 0; i < n; i++)
		shares[i] = fight_share_of(document_participant(document, i), names, scratch);
	return (struct fight_summary){
		.session_id = document->session_id,
		.finish_reason = document->meta.finish_reason,
		.winner_team = document->meta.winner_team,
		.finished_at = { .us = document->meta.end_timestamp * 1000000 },
		.participants = { .n = n, .items = shares },
	};
}

const struct fight_share *fight_summary_find(const struct fight_summary *summary, int64_t char_id)
{
	const struct fight_share *shares = summary->participants.items;

	for (size_t i = 0; i < summary->participants.n; i++)
		if (shares[i].char_id == char_id)
			return &shares[i];
	return NULL;
}

struct fight_result fight_result_of(const struct fight_summary *summary, const struct fight_share *share)
{
	return (struct fight_result){
		.session_id = summary->session_id,
		.finish_reason = summary->finish_reason,
		.winner_team = summary->winner_team,
		.finished_at = summary->finished_at,
		.is_winner = share->is_winner,
		.xp_gained = share->xp_gained,
		.gold_gained = share->gold_gained,
		.items_gained = share->items_gained,
		.damage_dealt = share->damage_dealt,
	};
}

void fight_event_write(
	const struct fight_summary *summary, const char *shortfalls, size_t shortfalls_len, struct text *out)
{
	const struct fight_share *shares = summary->participants.items;
	char id[UUID_TEXT_MAX];

	json_open(out, '{');
	json_key_string(out, "session_id", uuid_format(&summary->session_id, id));
	json_key(out, "participants");
	json_open(out, '{');
	for (size_t i = 0; i < summary->participants.n; i++) {
		struct fight_result result = fight_result_of(summary, &shares[i]);
		char key[24];

		snprintf(key, sizeof(key), "%lld", (long long)shares[i].char_id);
		json_key(out, key);
		schema_write(&fight_result_schema, &result, out);
	}
	json_close(out, '}');
	json_key(out, "shortfalls");
	json_raw(out, shortfalls, shortfalls_len);
	json_close(out, '}');
}

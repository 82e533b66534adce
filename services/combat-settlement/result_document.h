/* The result document of a fight, as settle_combat takes it. Pure: no I/O. */
#ifndef RESULT_DOCUMENT_H
#define RESULT_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/field.h"

enum finish_reason { FINISH_VICTORY, FINISH_DEFEAT, FINISH_FLEE, FINISH_DRAW, FINISH_COUNT };
extern const char *const finish_reasons[FINISH_COUNT];

struct fight_meta {
	int64_t end_timestamp;	 /* whole Unix seconds */
	const char *winner_team; /* NULL only for a draw */
	int finish_reason;
};

struct state_snapshot {
	struct opt_int hp;
	struct opt_int energy;
};

struct consumed_item {
	int64_t inventory_id;
	const char *item_template_id;
	int64_t qty;
};

struct gained_item {
	const char *item_template_id;
	int64_t qty;
};

/* Of durability_loss, a map with keys "item:<item_template_id>". */
struct durability_loss {
	const char *item;
	int64_t loss;
};

struct changes {
	int64_t xp_gained;
	int64_t gold_gained;
	struct list items_consumed; /* of struct consumed_item */
	struct list items_gained;   /* of struct gained_item; .items is NULL where the document has no such list */
	struct map durability_loss; /* of struct durability_loss */
};

struct loot_entry {
	const char *item_template_id;
	const char *name;
	int64_t qty;
};

struct ui_report {
	int64_t damage_dealt;
	struct list loot_obtained; /* of struct loot_entry */
};

struct participant {
	int64_t char_id;
	bool is_winner;
	struct state_snapshot state_snapshot;
	struct changes changes;
	struct ui_report ui_report;
};

struct result_document {
	struct uuid session_id;
	struct fight_meta meta;
	struct map participants; /* of struct participant, by char_id */
	struct json_text replay_log;
};

extern const struct schema settle_combat_request;
/* Parts of it, for reading them back from the history one by one. */
extern const struct schema fight_meta_schema;
extern const struct schema participant_schema;

/* The largest end_timestamp: the last second of the year 9999, after which RFC 3339 has no words. */
#define END_TIMESTAMP_MAX ((int64_t)253402300799)

/* What the tables cannot say: names the field (in scratch) and what is wrong with it. */
struct document_problem {
	const char *field;
	const char *problem;
};

/* Limits that an operator may lower. */
struct document_limits {
	int64_t participants_max;
	int64_t amount_max;
	int64_t quantity_max;
};

/*
 * Checks what goes beyond the field tables: keys of durability_loss, a winner unless it is a draw, names of loot that is to be
 * granted, the limits. Up to max problems are written to out; returns their number, 0 for a document that may be settled.
 * Any thread.
 */
size_t document_check(const struct result_document *document, const struct document_limits *limits,
	struct document_problem *out, size_t max, struct scratch *scratch);

/* One item granted: what the document says, from items_gained or, only where that is absent, from loot_obtained. */
struct grant {
	const char *item_template_id;
	const char *name; /* what the player reads, where the document says it; else NULL */
	int64_t qty;
	bool by_name; /* the template's id is the name of the loot: made if need be */
};

size_t grants_count(const struct participant *participant);
struct grant grant_at(const struct participant *participant, size_t i);

/* Points at the template's id within a durability_loss key, NULL when the key is not one. */
const char *durability_template(const struct durability_loss *loss);

static inline const struct participant *document_participant(const struct result_document *document, size_t i)
{
	return (const struct participant *)document->participants.items + i;
}

#endif

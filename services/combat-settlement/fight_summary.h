/* The short result of a fight: what its tombstone holds, its event tells and an asker is answered. Pure: no I/O. */
#ifndef FIGHT_SUMMARY_H
#define FIGHT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/field.h"
#include "result_document.h"

/* What an item is called: a row of item_templates. */
struct item_name {
	const char *item_template_id;
	const char *name;    /* NULL or "" when nobody named it */
	const char *name_en; /* the same */
};

struct item_names {
	const struct item_name *items;
	size_t n; /* sorted by item_template_id */
};

struct granted_item {
	const char *item_template_id;
	int64_t qty;
	const char *name;    /* NULL: the template's id is all there is */
	const char *name_en; /* NULL: name */
};

/* One participant's part. */
struct fight_share {
	int64_t char_id;
	bool is_winner;
	int64_t xp_gained;
	int64_t gold_gained;
	struct list items_gained; /* of struct granted_item */
	int64_t damage_dealt;
};

struct fight_summary {
	struct uuid session_id;
	int finish_reason;
	const char *winner_team;
	struct timestamp finished_at;
	struct map participants; /* of struct fight_share, by char_id */
};
extern const struct schema fight_summary_schema; /* the tombstone */

/* `result` of the asker, as in replies and events. */
struct fight_result {
	struct uuid session_id;
	int finish_reason;
	const char *winner_team;
	struct timestamp finished_at;
	bool is_winner;
	int64_t xp_gained;
	int64_t gold_gained;
	struct list items_gained; /* of struct granted_item */
	int64_t damage_dealt;
};
extern const struct schema fight_result_schema;

/* A participant's share; its list lives in scratch, its strings where the participant's and the names' do. Any thread. */
struct fight_share fight_share_of(
	const struct participant *participant, const struct item_names *names, struct scratch *scratch);
/* The whole summary, in the same way. Any thread. */
struct fight_summary fight_summary_of(
	const struct result_document *document, const struct item_names *names, struct scratch *scratch);
/* The share of a character, NULL for one who was not in the fight. Any thread. */
const struct fight_share *fight_summary_find(const struct fight_summary *summary, int64_t char_id);
struct fight_result fight_result_of(const struct fight_summary *summary, const struct fight_share *share);

/* The event's body: {"session_id", "participants": {id: result}, "shortfalls"}. */
extern const struct schema fight_event_schema;
/* Appends it; shortfalls is a JSON array as it is kept in the history. Any thread. */
void fight_event_write(
	const struct fight_summary *summary, const char *shortfalls, size_t shortfalls_len, struct text *out);

#endif

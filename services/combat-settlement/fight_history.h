/* Reading fights back from combat_history. */
#ifndef FIGHT_HISTORY_H
#define FIGHT_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/call.h"
#include "fight_summary.h"

/* A fight's row as far as one character is concerned; texts live in the call's scratch. */
struct fight_record {
	bool found;
	struct uuid session_id;
	bool processed;	   /* else pending or failed */
	bool participated; /* the character did */
	bool is_last;	   /* the character's row names it */
	bool is_newest;	   /* it was looked for as the character's newest */
	int64_t finished_at_us;
	struct json_text meta;
	struct json_text participant;
};

/* All run on the call's thread: 0, or -1 and err of pg_query(). A fight that is not there is no failure. One query each. */
int fight_history_find(struct call *call, const struct uuid *session_id, int64_t char_id, struct fight_record *record,
	struct error *err);
int fight_history_find_newest(struct call *call, int64_t char_id, struct fight_record *record, struct error *err);
/* Whether the character's row names the fight as its last. */
int fight_history_is_last(
	struct call *call, int64_t char_id, const struct uuid *session_id, bool *is_last, struct error *err);

/*
 * The summary of a processed fight, with that one participant, named as the templates are. 0, or -1 and err: of pg_query(), or
 * internal for a row that holds no result document. Lives in the call's scratch.
 */
int fight_history_read(struct call *call, const struct fight_record *record, int64_t char_id,
	struct fight_summary *summary, struct error *err);

#endif

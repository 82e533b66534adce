/* Finding a fight for a player who asks: first in Redis, then in the character's context, then in the database. */
#ifndef FIGHT_LOOKUP_H
#define FIGHT_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/call.h"
#include "common/reply.h"
#include "fight_summary.h"
#include "result_text.h"

struct asked_for {
	struct uuid session_id; /* ignored by fight_lookup_last() */
	int64_t char_id;
	int lang;
};

/* The answer to both commands that show a fight. */
struct fight_ui {
	bool clear_keyboard;
	const char *button; /* NULL: none */
};

struct fight_answer {
	int status;
	int source;
	bool is_last;
	struct fight_result *result; /* NULL unless finished */
	const char *message;
	struct fight_ui ui;
};
/* Rows of the result schema of both. */
#define FIGHT_ANSWER_FIELDS 6
extern const struct field fight_answer_fields[FIGHT_ANSWER_FIELDS];

/* Answers, or refuses with not_found or forbidden, or asks for a retry. Nothing is changed but answers kept in Redis. */
enum outcome fight_lookup(struct call *call, const struct asked_for *asked);
/* The same for the character's newest fight in the history. */
enum outcome fight_lookup_last(struct call *call, const struct asked_for *asked);

#endif

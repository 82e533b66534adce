/* What a character's equipment is worth, by PostgreSQL, which owns the inventory. */
#ifndef GARRISON_ARENA_GEAR_SCORE_H
#define GARRISON_ARENA_GEAR_SCORE_H

#include "error.h"
#include "pg.h"
#include "scratch.h"

struct gear_score {
	int64_t char_id;
	int64_t score;
};

/* Of the characters that exist, each once, sorted by char_id. */
struct gear_scores {
	size_t n;
	const struct gear_score *items;
};

/*
 * Reads the gear scores of many characters in one statement; ids may repeat. What *out holds lives in scratch. 0, or -1 as
 * pg_query() fails. The thread of pg.
 */
int gear_scores_read(struct pg *pg, const int64_t *char_ids, size_t n, struct scratch *scratch, struct gear_scores *out,
	struct error *err);
/* The score of one, NULL when there is no such character. Any thread. */
const struct gear_score *gear_scores_find(const struct gear_scores *scores, int64_t char_id);

#endif

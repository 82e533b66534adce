/* A match of two characters. */
#ifndef GARRISON_ARENA_BATTLE_H
#define GARRISON_ARENA_BATTLE_H

#include "error.h"
#include "field.h"
#include "scratch.h"

struct battle_participant {
	int64_t char_id;
	int64_t gear_score;
};

struct battle {
	struct uuid session_id;
	const char *mode;
	struct list participants; /* of two struct battle_participant */
	struct timestamp matched_at;
};
extern const struct schema battle_schema;

/*
 * Reads what arena.lua keeps of a battle, "<mode> <char> <score> <char> <score> <matched_us>". What *out holds lives in scratch.
 * 0, or -1 (internal) when it is no such text. Any thread.
 */
int battle_parse(
	const char *session_id, const char *text, struct scratch *scratch, struct battle *out, struct error *err);
/* The one whom char_id meets; 0 when char_id is not in the battle. Any thread. */
int64_t battle_opponent(const struct battle *battle, int64_t char_id);

#endif

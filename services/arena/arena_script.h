/* Calls of arena.lua. Everything here belongs to the thread of the session's kv. */
#ifndef GARRISON_ARENA_SCRIPT_H
#define GARRISON_ARENA_SCRIPT_H

#include "arena_session.h"

#define JOINS_A_CALL 16 /* with 50 µs each, so that no call holds the server for long */
#define JOIN_WORDS 8
#define SCRIPT_WORDS_MAX (1 + JOINS_A_CALL * JOIN_WORDS)

/* Queues one operation with its own words behind what every operation is given. mode is "" where it does not matter. */
void script_queue(struct arena_session *session, const char *operation, int64_t char_id, const char *mode,
	const char *const *words, size_t n_words);
/* The same, and waits for its answer, the only one in answers. 0, or -1 as kv_command() fails. */
int script_call(struct arena_session *session, const char *operation, int64_t char_id, const char *mode,
	const char *const *words, size_t n_words, struct kv_answers *answers, struct error *err);

/* A number as a word, in the session's scratch. */
const char *script_number(struct arena_session *session, int64_t number);
/* A fresh session id for a battle, as a word. */
const char *script_battle_id(struct arena_session *session);

/* The first word of an answer, which says what it is; "" when it is no list of words. */
const char *answer_kind(const struct kv_answer *answer);
/* A word of an answer, copied into the session's scratch; "" when it is not there. */
const char *answer_word(struct arena_session *session, const struct kv_answer *answer, size_t i);
/* {"request", mode, gear score, created, expires, now} into *request; *waited_us may be NULL. */
void answer_request(struct arena_session *session, const struct kv_answer *answer, struct arena_request *request,
	int64_t *waited_us);

#endif

/*
 * The arena's state: who waits, who is matched, what is still to be announced. It is kept in Redis and changed only by arena.lua,
 * one atomic step an operation, so any number of workers may call any of this at the same time; its keys are documented there.
 * Gear scores and settled fights are PostgreSQL's. Everything here belongs to the thread of the session's stores.
 */
#ifndef GARRISON_ARENA_SESSION_H
#define GARRISON_ARENA_SESSION_H

#include <stdbool.h>

#include "arena_request.h"
#include "battle.h"
#include "kv.h"
#include "pg.h"

#define ARENA_RULES 6

/* What one piece of work stands on. Texts that operations hand out live in scratch. */
struct arena_session {
	struct kv *kv;
	struct pg *pg;
	struct scratch *scratch;
	const char *rules[ARENA_RULES]; /* the settings every script is given */
};

/* A session over the stores of a call, a batch or a timer. Nothing to release. */
struct arena_session arena_session_of(struct kv *kv, struct pg *pg, struct scratch *scratch);

enum join_status {
	JOIN_PENDING,
	JOIN_DONE,	 /* .request: the active one, or the one this message made before */
	JOIN_SUPERSEDED, /* a retried join, and the character left, was matched or joined since its first attempt */
	JOIN_BUSY,	 /* .reason: the other mode in which it has an active request */
	JOIN_UNFINISHED, /* .reason: the session of its unfinished match; .request: what led to it, its mode "" where that join had a message id */
	JOIN_NO_CHARACTER,
	JOIN_FAILED /* .error */
};

/* A join: what is asked, and what became of it. */
struct arena_join {
	int64_t char_id;
	const char *mode;
	const char *message_id; /* the sender's, "" without */
	int64_t first_at_us;	/* of a retried command, else 0 */
	const char *traceparent;
	enum join_status status;
	int64_t gear_score; /* fresh; set unless there is no character or it failed */
	struct arena_request request;
	const char *reason;
	struct error error;
	const char *settled; /* private */
};

/*
 * Puts characters in the queue of their mode, matching each at once where somebody fits. Their gear scores are read in one
 * statement and the joins sent in one round trip, in order, several a step. A fight that was settled ends its match on the way.
 * Again with the same message_id: the same request, and nothing is changed.
 */
void arena_session_join_queue(struct arena_session *session, struct arena_join *joins, size_t n);

/*
 * Takes the character out of the mode's queue; *left says whether it was there. message_id and first_at_us as in a join: a repeat
 * says the same, and a retried leave does not undo a later join. 0/-1.
 */
int arena_session_leave_queue(struct arena_session *session, int64_t char_id, const char *mode, const char *message_id,
	int64_t first_at_us, bool *left, struct error *err);

/* The active request and how long it has waited (ms); *request is NULL without one. 0/-1. */
int arena_session_get_queue_status(struct arena_session *session, int64_t char_id, const struct arena_request **request,
	int64_t *waited_ms, struct error *err);
/* The active request alone; NULL without one. 0/-1. */
int arena_session_get_request_meta(
	struct arena_session *session, int64_t char_id, const struct arena_request **request, struct error *err);

enum match_status { MATCH_MATCHED, MATCH_WAITING, MATCH_TIMEOUT, MATCH_NONE };

/*
 * How the character stands in the mode; if it waits, the nearest request that fits is claimed and both are matched, in one step,
 * which is told under the traceparent. *battle is set when matched. 0/-1.
 */
int arena_session_find_opponent(struct arena_session *session, int64_t char_id, const char *mode,
	const char *traceparent, enum match_status *status, struct battle *battle, struct error *err);

/* Ends at most max requests whose time is over, oldest first; *n says how many it found. 0/-1. */
int arena_session_check_timeout(struct arena_session *session, int64_t max, int64_t *n, struct error *err);

/*
 * Matches among the waiting though nobody asks: tries each of at most max requests, in the order in which they expire, from the
 * position *next on, and moves *next behind them, or to 0 at the end. *matched counts those that are matched by now. 0/-1.
 */
int arena_session_prepare_match(
	struct arena_session *session, int64_t max, int64_t *next, int64_t *matched, struct error *err);

/* How many wait, in all modes. 0/-1. */
int arena_session_count(struct arena_session *session, int64_t *waiting, struct error *err);
/* True when it is this worker's turn to sweep: one at a time, however many there are. 0/-1. */
int arena_session_take_turn(struct arena_session *session, int64_t turn_ms, bool *mine, struct error *err);

/* The gear score of an existing character, as PostgreSQL has it now; not_found for no such character. 0/-1. */
int arena_session_get_gear_score(
	struct arena_session *session, int64_t char_id, int64_t *gear_score, struct error *err);

enum notice_kind { NOTICE_BATTLE, NOTICE_EXPIRED, NOTICE_UNREADABLE };

/* What happened and is not yet told to the world. */
struct arena_notice {
	enum notice_kind kind;
	const char *entry;	 /* as it is kept in Redis */
	const char *traceparent; /* of the command it comes from; "" where that is not known */
	struct battle battle;	 /* of NOTICE_BATTLE */
	int64_t char_id;	 /* of NOTICE_EXPIRED, like the rest */
	const char *mode;
	int64_t expired_us;
};

/* Takes at most max notices, oldest first; nobody else is given them before lease_ms are over. 0/-1. */
int arena_session_take_notices(struct arena_session *session, int64_t max, int64_t lease_ms,
	struct arena_notice **notices, size_t *n, struct error *err);
/* They have been told: forgets them. 0/-1. */
int arena_session_drop_notices(
	struct arena_session *session, const struct arena_notice *notices, size_t n, struct error *err);

#endif

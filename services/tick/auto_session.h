/*
 * Auto-sessions in PostgreSQL, in sets: every function takes n different players in ascending order, in one statement or two.
 * They fail as pg_sync does, and then nothing of the set has been done. The thread that owns pg.
 */
#ifndef TICK_AUTO_SESSION_H
#define TICK_AUTO_SESSION_H

#include "call.h"

struct session_totals {
	int64_t xp, gold, items;
};

/* As commands answer it. */
struct auto_session {
	int64_t player_id;
	int active_category; /* a category's number */
	struct timestamp started_at, last_tick_at, next_tick_at;
	int64_t ticks;
	struct session_totals totals;
};

extern const struct schema auto_session_schema;

/*
 * Who asks for a start or an end, and since when. A command that was retried takes its turn as of its first attempt, not of this one;
 * a sender's message id says that it is the same command again.
 */
struct session_request {
	int64_t player_id;
	const char *category;	/* of a start */
	int64_t first_at_us;	/* of a retried command, else 0 */
	const char *message_id; /* NULL when the sender gave none */
};

/* What there is of a player. */
struct session_view {
	bool known;  /* there is such a character */
	bool active; /* session is filled in */
	struct auto_session session;
};

/* The request that a call makes. Its strings live as long as the call. */
struct session_request session_request_of(const struct call *call, int64_t player_id, const char *category);

/*
 * Begins a session for every known player who has none. views[i] is of request i's session where it was begun, else empty: one was
 * active already, or there is no such player, or it is a retried start that is older than the session's last end, or that began a
 * session which has ended since.
 */
int session_start(
	struct pg *pg, const struct session_request *requests, size_t n, struct session_view *views, struct error *err);

/*
 * Ends the sessions, and notes the wish of every known player, so that an older start which is retried later does nothing. deleted[i]
 * says whether there was an active one. A retried delete leaves a session alone that was asked for after it.
 */
int session_end(struct pg *pg, const struct session_request *requests, size_t n, bool *deleted, struct error *err);

/* Looks the players up. */
int session_view(struct pg *pg, const int64_t *player_ids, size_t n, struct session_view *views, struct error *err);

/*
 * Queues the end of those sessions among the players' that are older than AUTO_SESSION_MAX and have nothing left to credit; others
 * are left alone, so it may be asked for more than needed. One result, which nobody wants.
 */
void session_queue_expiry(struct pg *pg, const int64_t *player_ids, size_t n);

#endif

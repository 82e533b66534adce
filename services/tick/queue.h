/*
 * Due ticks on their way through Redis. Nothing here is precious: all of it is found again in auto_sessions.
 *
 *	tick:queue:<category>	list, oldest at the head, of "<player_id>:<due>:<started>" (times in Unix microseconds)
 *	tick:cursor		string "<due>:<player_id>": up to here, in that order, all due sessions have been queued once
 *	tick:sweep		string: TICK_INTERVAL in ms, lives for the pause between two sweeps of the fleet
 *
 * Functions fail as kv_sync does. The thread that owns kv.
 */
#ifndef TICK_QUEUE_H
#define TICK_QUEUE_H

#include "kv.h"

#define QUEUE_CURSOR_MAX 48
#define QUEUE_NEVER_US (INT64_C(1) << 61) /* later than any due time, and still a time to PostgreSQL */

/* A due time of one session. */
struct due {
	int64_t player_id;
	int64_t due_us; /* the session's next_tick_at */
	int64_t started_us;
	int category;
};

/* What a scheduler finds. */
struct queue_state {
	char cursor[QUEUE_CURSOR_MAX]; /* "" when there is none, or none that can be read */
	int64_t cursor_us, cursor_id;
	int64_t length;	       /* entries in all queues */
	int64_t oldest_due_us; /* of the entries at the heads; QUEUE_NEVER_US when all queues are empty */
	bool sweep;	       /* it is the caller's turn to sweep */
};

/*
 * Whose turn it is to sweep is a key that holds interval_ms while it lasts: whoever audits the schedule learns from it that
 * schedulers run, and by what interval.
 */
int queue_look(
	struct kv *kv, int64_t sweep_pause_ms, int64_t interval_ms, struct queue_state *state, struct error *err);

/*
 * Queues n due ticks, one at least, in order of (due, player), behind the others and moves the cursor to the last of them; nothing is
 * done when somebody has moved the cursor since state was read, for he has queued them.
 */
int queue_push(struct kv *kv, const struct queue_state *state, const struct due *dues, size_t n, struct error *err);
/* Queues n ticks that were lost on the way before all others, in their order. */
int queue_push_lost(struct kv *kv, const struct due *dues, size_t n, struct error *err);
/* Forgets the cursor: the next scheduler begins anew with the oldest due session. */
int queue_forget_cursor(struct kv *kv, struct error *err);
/* Sets the cursor, where there is none, to a time before which nothing is due. */
int queue_begin_cursor(struct kv *kv, int64_t us, struct error *err);

/*
 * Takes up to max due ticks of one category, the first that has any, counted from first_category on; *n is 0 when all are empty.
 * Entries that cannot be read are dropped and counted. dues has room for max.
 */
int queue_take(struct kv *kv, int first_category, size_t max, struct due *dues, size_t *n, size_t *unreadable,
	struct error *err);

#endif

/* A batch of due ticks of one category, computed: pure. */
#ifndef TICK_TICK_BATCH_H
#define TICK_TICK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "services/tick/queue.h"
#include "services/tick/rewards.h"

/* One session's move to its next due time. */
struct tick {
	int64_t player_id;
	int64_t due_us, started_us; /* the session it was queued for */
	int64_t last_us, next_us;   /* where the session moves to */
	int64_t count;		    /* due times credited, at most TICK_CATCHUP_MAX */
	struct reward reward;
	bool ended;    /* past AUTO_SESSION_MAX */
	bool credited; /* the database has moved it */
};

struct tick_batch {
	int category;
	int64_t now_us; /* PostgreSQL's clock */
	struct rules rules;
	struct tick *ticks; /* ascending by player, each once */
	size_t n, n_credited;
};

/*
 * Sorts dues and makes ticks of what is due at now_us, by the rules, which must be set; of several entries for one player the latest is
 * taken, for no other can be its session's. Released by tick_batch_release(). Any thread.
 */
void tick_batch_plan(struct tick_batch *batch, struct due *dues, size_t n);
void tick_batch_release(struct tick_batch *batch);

/* Adds to quantities, by item of the rules, what the tick gives; the same at every call. Any thread. */
void tick_batch_items(const struct tick_batch *batch, const struct tick *tick, int64_t *quantities);

/* The tick of that player, or NULL. Any thread. */
struct tick *tick_batch_find(const struct tick_batch *batch, int64_t player_id);

#endif

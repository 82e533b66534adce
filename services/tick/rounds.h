/* A batch of commands, served in rounds that have each player once, so that set-based statements may run on it. */
#ifndef TICK_ROUNDS_H
#define TICK_ROUNDS_H

#include "service.h"

/* What every command of this service asks about: the first member of each request. */
struct player_request {
	int64_t player_id;
};

/*
 * Serves n calls of different players, in ascending order of player: gives each its outcome and returns 0; or -1, and nothing of the
 * round has been done.
 */
typedef int round_fn(struct batch *batch, struct call **calls, const int64_t *player_ids, size_t n, struct error *err);

/*
 * Splits the batch and runs serve on each round; several calls of one player come in their order. When a round fails for a cause
 * that lies in one of its calls, each is served alone. Every call has its outcome afterwards. The batch's thread.
 */
void serve_in_rounds(struct batch *batch, round_fn *serve);

#endif

#include "services/tick/rounds.h"

struct turn {
	int64_t player_id;
	size_t arrival; /* index in the batch */
	size_t round;	/* how many calls of the same player come before */
};

static int64_t player_of(const struct call *call)
{
	const struct player_request *request = call_args(call);

	return request->player_id;
}

static int by_player_and_arrival(const void *left, const void *right)
{
	const struct turn *a = left, *b = right;

	if (a->player_id != b->player_id)
		return a->player_id < b->player_id ? -1 : 1;
	return a->arrival < b->arrival ? -1 : a->arrival > b->arrival;
}

/* Fills turns, ordered by player, and returns the number of rounds. */
static size_t plan(const struct batch *batch, struct turn *turns)
{
	size_t rounds = 0;

	for (size_t i = 0; i < batch->n; i++)
		turns[i] = (struct turn){ .player_id = player_of(batch->calls[i]), .arrival = i };
	qsort(turns, batch->n, sizeof(*turns), by_player_and_arrival);
	for (size_t i = 0; i < batch->n; i++) {
		if (i > 0 && turns[i].player_id == turns[i - 1].player_id)
			turns[i].round = turns[i - 1].round + 1;
		if (turns[i].round >= rounds)
			rounds = turns[i].round + 1;
	}
	return rounds;
}

static void serve_one(struct batch *batch, round_fn *serve, struct call *call)
{
	int64_t player_id = player_of(call);
	struct error err;

	if (serve(batch, &call, &player_id, 1, &err))
		retry(call, &err);
}

static void serve_round(struct batch *batch, round_fn *serve, struct call **calls, const int64_t *player_ids, size_t n)
{
	struct error err;

	if (!serve(batch, calls, player_ids, n, &err))
		return;
	for (size_t i = 0; i < n; i++) {
		if (n > 1 && (!code_is_transient(err.code) || err.code == CODE_INTERNAL))
			serve_one(batch, serve, calls[i]);
		else
			retry(calls[i], &err);
	}
}

void serve_in_rounds(struct batch *batch, round_fn *serve)
{
	CLEANUP(release_memory) struct turn *turns = must_alloc(batch->n * sizeof(*turns));
	CLEANUP(release_memory) struct call **calls = must_alloc(batch->n * sizeof(*calls));
	CLEANUP(release_memory) int64_t *player_ids = must_alloc(batch->n * sizeof(*player_ids));
	size_t rounds = plan(batch, turns);

	for (size_t round = 0; round < rounds; round++) {
		size_t n = 0;

		for (size_t i = 0; i < batch->n; i++) {
			if (turns[i].round != round)
				continue;
			player_ids[n] = turns[i].player_id;
			calls[n++] = batch->calls[turns[i].arrival];
		}
		serve_round(batch, serve, calls, player_ids, n);
	}
}

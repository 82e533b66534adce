/*
 * Which events reach a queue. A publication costs the broker the same whether anybody listens or not, and most events of most games are
 * heard by nobody. So where nobody listened last, one event asks for all that were handed over before it was sent: when the broker
 * returns it, no queue would have taken them at that moment either, and they are as good as published then.
 */
#include <stdlib.h>
#include <string.h>

#include "publisher_internal.h"

struct hearing {
	struct hearing *next;
	bool heard;			 /* by what the broker said last */
	const struct outgoing *question; /* on its way, for all in covered; NULL: none */
	struct outgoing_queue covered, held;
	char routing_key[];
};

static struct hearing *find(struct audience *audience, const char *routing_key)
{
	struct hearing *hearing = audience->hearings;
	size_t size = strlen(routing_key) + 1;

	while (hearing && strcmp(hearing->routing_key, routing_key) != 0)
		hearing = hearing->next;
	if (hearing)
		return hearing;
	hearing = must_zalloc(sizeof(*hearing) + size);
	memcpy(hearing->routing_key, routing_key, size);
	outgoing_queue_init(&hearing->covered);
	outgoing_queue_init(&hearing->held);
	hearing->next = audience->hearings;
	audience->hearings = hearing;
	return hearing;
}

bool audience_hold(struct audience *audience, struct outgoing *out)
{
	struct hearing *hearing;

	if (out->promise != PROMISE_HEARD)
		return false;
	hearing = find(audience, out->routing_key);
	if (hearing->heard)
		return false;
	outgoing_queue_add(&hearing->held, out);
	audience->n++;
	return true;
}

void audience_ask(struct audience *audience, struct outgoing_queue *waiting)
{
	for (struct hearing *hearing = audience->hearings; hearing; hearing = hearing->next) {
		if (hearing->question || !hearing->held.head)
			continue;
		struct outgoing *question = outgoing_queue_take(&hearing->held);

		audience->n--;
		outgoing_queue_move(&hearing->covered, &hearing->held);
		hearing->question = question;
		outgoing_queue_add(waiting, question);
	}
}

size_t audience_answer(
	struct audience *audience, const struct outgoing *out, bool heard, struct outgoing_queue *waiting)
{
	struct hearing *hearing = find(audience, out->routing_key);
	size_t unheard = 0;

	hearing->heard = heard;
	if (heard) {
		audience->n -= hearing->covered.n + hearing->held.n;
		hearing->question = NULL;
		outgoing_queue_move(waiting, &hearing->covered);
		outgoing_queue_move(waiting, &hearing->held);
	} else if (out == hearing->question) {
		unheard = hearing->covered.n;
		audience->n -= unheard;
		hearing->question = NULL;
		while (hearing->covered.head)
			outgoing_end(outgoing_queue_take(&hearing->covered), true);
	}
	return unheard + !heard;
}

void audience_lost(struct audience *audience)
{
	for (struct hearing *hearing = audience->hearings; hearing; hearing = hearing->next) {
		hearing->question = NULL;
		outgoing_queue_move(&hearing->covered, &hearing->held);
		outgoing_queue_move(&hearing->held, &hearing->covered);
	}
}

void audience_release(struct audience *audience)
{
	audience_lost(audience);
	while (audience->hearings) {
		struct hearing *hearing = audience->hearings;

		while (hearing->held.head)
			outgoing_end(outgoing_queue_take(&hearing->held), false);
		audience->hearings = hearing->next;
		free(hearing);
	}
	audience->n = 0;
}

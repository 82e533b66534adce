#include "join_queue.h"

#include <inttypes.h>
#include <string.h>

#include "arena_session.h"
#include "arena_settings.h"
#include "crash.h"

struct join_queue {
	int64_t char_id;
	const char *mode;
};
static const struct field request_fields[] = {
	FIELD(struct join_queue, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct join_queue, mode, .required = true, .min = 1, .max = ARENA_MODE_MAX,
		.help = "a mode of ARENA_MODES"),
};
const struct schema arena_join_queue_request = SCHEMA(struct join_queue, request_fields, .name = "join_queue request");

struct joined {
	int64_t gear_score;
	const struct arena_request *request;
};
static const struct field result_fields[] = {
	FIELD(struct joined, gear_score, .required = true, .help = "the sum of the equipped items' gear scores"),
	FIELD(struct joined, request, .nullable = true, .of = &arena_request_schema,
		.help = "the active request; null for a retried join after which the character did something else"),
};
const struct schema arena_join_queue_result = SCHEMA(struct joined, result_fields, .name = "join_queue result");

/* A join without a message id that comes again may be the one that made the match, and its worker died before the ack. */
static bool may_have_made_the_match(const struct call *call, const struct arena_join *join)
{
	return call->message->redelivered && !call->idempotency_key && !strcmp(join->request.mode, join->mode);
}

static void answer(struct call *call, const struct arena_join *join)
{
	switch (join->status) {
	case JOIN_DONE:
		reply_ok(call, &(struct joined){ join->gear_score, &join->request });
		break;
	case JOIN_SUPERSEDED:
		reply_ok(call, &(struct joined){ join->gear_score, NULL });
		break;
	case JOIN_BUSY:
		refuse(call, CODE_CONFLICT, "character %" PRId64 " is in the queue of mode %s", join->char_id,
			join->reason);
		break;
	case JOIN_UNFINISHED:
		if (may_have_made_the_match(call, join))
			reply_ok(call, &(struct joined){ join->gear_score, &join->request });
		else
			refuse(call, CODE_CONFLICT, "character %" PRId64 " has an unfinished match, session %s",
				join->char_id, join->reason);
		break;
	case JOIN_NO_CHARACTER:
		refuse(call, CODE_NOT_FOUND, "there is no character %" PRId64, join->char_id);
		break;
	case JOIN_FAILED:
		retry(call, &join->error);
		break;
	case JOIN_PENDING:
		BUG("a join was left undecided");
	}
}

/*
 * Safe to run again: while the request lives, a join answers it; afterwards the sender's message_id, kept with the ended request,
 * tells a repeat from a new join; without one, a redelivery answers the request of the match in its way; and a retried join gives way
 * to whatever the character did since its first attempt.
 */
void arena_join_queue(struct batch *batch)
{
	struct arena_session session = arena_session_of(batch->kv, batch->pg, batch->scratch);
	struct arena_join *joins = scratch_array(batch->scratch, batch->n, sizeof(*joins));
	struct call **calls = scratch_array(batch->scratch, batch->n, sizeof(struct call *));
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++) {
		struct call *call = batch->calls[i];
		const struct join_queue *in = call_args(call);

		if (!arena_mode_known(in->mode)) {
			refuse_field(call, "mode", "there is no mode \"%s\"", in->mode);
			continue;
		}
		calls[n] = call;
		joins[n++] = (struct arena_join){
			.char_id = in->char_id,
			.mode = in->mode,
			.message_id = call->idempotency_key ? call->message_id : "",
			.first_at_us = call->message->attempt > 1 ? call->message->first_at_us : 0,
			.traceparent = call->traceparent,
		};
	}
	if (n)
		arena_session_join_queue(&session, joins, n);
	crash_point("arena_joined");
	for (size_t i = 0; i < n; i++)
		answer(calls[i], &joins[i]);
}

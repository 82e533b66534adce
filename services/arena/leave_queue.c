#include "leave_queue.h"

#include "arena_session.h"
#include "arena_settings.h"
#include "crash.h"

struct leave_queue {
	int64_t char_id;
	const char *mode;
};
static const struct field request_fields[] = {
	FIELD(struct leave_queue, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct leave_queue, mode, .required = true, .min = 1, .max = ARENA_MODE_MAX,
		.help = "a mode of ARENA_MODES"),
};
const struct schema arena_leave_queue_request = SCHEMA(
	struct leave_queue, request_fields, .name = "leave_queue request");

struct left_queue {
	bool left;
};
static const struct field result_fields[] = {
	FIELD(struct left_queue, left, .required = true, .help = "false when it was not in that queue"),
};
const struct schema arena_leave_queue_result = SCHEMA(struct left_queue, result_fields, .name = "leave_queue result");

/* Safe to run again: a repeat by message_id says what the first said, and a retried leave leaves a later join alone. */
enum outcome arena_leave_queue(struct call *call)
{
	const struct leave_queue *in = call_args(call);
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	struct left_queue out;
	struct error err;

	if (!arena_mode_known(in->mode))
		return refuse_field(call, "mode", "there is no mode \"%s\"", in->mode);
	if (arena_session_leave_queue(&session, in->char_id, in->mode, call->idempotency_key ? call->message_id : "",
		    call->message->attempt > 1 ? call->message->first_at_us : 0, &out.left, &err))
		return retry(call, &err);
	crash_point("arena_left");
	return reply_ok(call, &out);
}

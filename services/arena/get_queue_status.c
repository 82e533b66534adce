#include "get_queue_status.h"

#include "arena_session.h"

struct get_queue_status {
	int64_t char_id;
};
static const struct field request_fields[] = {
	FIELD(struct get_queue_status, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema arena_get_queue_status_request = SCHEMA(
	struct get_queue_status, request_fields, .name = "get_queue_status request");

struct queue_status {
	bool active;
	const struct arena_request *request;
	int64_t waited_s;
};
static const struct field result_fields[] = {
	FIELD(struct queue_status, active, .required = true, .help = "whether it is in a queue"),
	FIELD(struct queue_status, request, .nullable = true, .of = &arena_request_schema,
		.help = "its request, or null"),
	FIELD(struct queue_status, waited_s, .required = true,
		.help = "whole seconds it has waited; 0 when not in a queue"),
};
const struct schema arena_get_queue_status_result = SCHEMA(
	struct queue_status, result_fields, .name = "get_queue_status result");

enum outcome arena_get_queue_status(struct call *call)
{
	const struct get_queue_status *in = call_args(call);
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	struct queue_status out;
	int64_t waited_ms;
	struct error err;

	if (arena_session_get_queue_status(&session, in->char_id, &out.request, &waited_ms, &err))
		return retry(call, &err);
	out.active = out.request;
	out.waited_s = waited_ms / 1000;
	return reply_ok(call, &out);
}

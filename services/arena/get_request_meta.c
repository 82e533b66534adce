#include "get_request_meta.h"

#include "arena_session.h"

struct get_request_meta {
	int64_t char_id;
};
static const struct field request_fields[] = {
	FIELD(struct get_request_meta, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema arena_get_request_meta_request = SCHEMA(
	struct get_request_meta, request_fields, .name = "get_request_meta request");

struct request_meta {
	const struct arena_request *request;
};
static const struct field result_fields[] = {
	FIELD(struct request_meta, request, .nullable = true, .of = &arena_request_schema,
		.help = "its active request, or null"),
};
const struct schema arena_get_request_meta_result = SCHEMA(
	struct request_meta, result_fields, .name = "get_request_meta result");

enum outcome arena_get_request_meta(struct call *call)
{
	const struct get_request_meta *in = call_args(call);
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	struct request_meta out;
	struct error err;

	if (arena_session_get_request_meta(&session, in->char_id, &out.request, &err))
		return retry(call, &err);
	return reply_ok(call, &out);
}

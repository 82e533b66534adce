#include "get_gear_score.h"

#include "arena_session.h"

struct get_gear_score {
	int64_t char_id;
};
static const struct field request_fields[] = {
	FIELD(struct get_gear_score, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema arena_get_gear_score_request = SCHEMA(
	struct get_gear_score, request_fields, .name = "get_gear_score request");

struct worth {
	int64_t gear_score;
};
static const struct field result_fields[] = {
	FIELD(struct worth, gear_score, .required = true,
		.help = "the sum of the equipped items' gear scores, or ARENA_DEFAULT_GEAR_SCORE where that is 0"),
};
const struct schema arena_get_gear_score_result = SCHEMA(struct worth, result_fields, .name = "get_gear_score result");

enum outcome arena_get_gear_score(struct call *call)
{
	const struct get_gear_score *in = call_args(call);
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	struct worth out;
	struct error err;

	if (arena_session_get_gear_score(&session, in->char_id, &out.gear_score, &err))
		return retry(call, &err);
	return reply_ok(call, &out);
}

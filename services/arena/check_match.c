#include "check_match.h"

#include "arena_session.h"
#include "arena_settings.h"
#include "crash.h"

struct check_match {
	int64_t char_id;
	const char *mode;
};
static const struct field request_fields[] = {
	FIELD(struct check_match, char_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct check_match, mode, .required = true, .min = 1, .max = ARENA_MODE_MAX,
		.help = "a mode of ARENA_MODES"),
};
const struct schema arena_check_match_request = SCHEMA(
	struct check_match, request_fields, .name = "check_match request");

struct match {
	int status; /* enum match_status */
	struct opt_int opponent_id;
	const struct battle *battle;
};
static const char *const statuses[] = { "matched", "waiting", "timeout", "none" };
static const struct field result_fields[] = {
	FIELD(struct match, status, .required = true, .choices = statuses, .n_choices = ARRAY_LEN(statuses),
		.help = "timeout for a while after the request expired, then none"),
	FIELD(struct match, opponent_id, .help = "whom it meets, when matched"),
	FIELD(struct match, battle, .of = &battle_schema, .help = "the battle, the same for both, when matched"),
};
const struct schema arena_check_match_result = SCHEMA(struct match, result_fields, .name = "check_match result");

/* Safe to run again: who is matched stays matched in the same battle. */
enum outcome arena_check_match(struct call *call)
{
	const struct check_match *in = call_args(call);
	struct arena_session session = arena_session_of(call->kv, call->pg, &call->scratch);
	enum match_status status;
	struct match out = { 0 };
	struct battle battle;
	struct error err;

	if (!arena_mode_known(in->mode))
		return refuse_field(call, "mode", "there is no mode \"%s\"", in->mode);
	if (arena_session_find_opponent(&session, in->char_id, in->mode, call->traceparent, &status, &battle, &err))
		return retry(call, &err);
	crash_point("arena_checked");
	out.status = (int)status;
	if (status == MATCH_MATCHED) {
		out.opponent_id = (struct opt_int){ true, battle_opponent(&battle, in->char_id) };
		out.battle = &battle;
	}
	return reply_ok(call, &out);
}

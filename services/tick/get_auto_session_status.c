#include "services/tick/get_auto_session_status.h"

#include "services/tick/auto_session.h"
#include "services/tick/rounds.h"

struct status_result {
	bool active;
	struct auto_session *session;
};

static const struct field request_fields[] = {
	FIELD(struct player_request, player_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema get_auto_session_status_request = SCHEMA(
	struct player_request, request_fields, .name = "get_auto_session_status request");

static const struct field result_fields[] = {
	FIELD(struct status_result, active, .help = "whether there is a session"),
	FIELD(struct status_result, session, .of = &auto_session_schema, .nullable = true,
		.help = "the session, or null"),
};
const struct schema get_auto_session_status_result = SCHEMA(
	struct status_result, result_fields, .name = "get_auto_session_status result");

static int serve(struct batch *batch, struct call **calls, const int64_t *player_ids, size_t n, struct error *err)
{
	CLEANUP(release_memory) struct session_view *views = must_alloc(n * sizeof(*views));

	if (session_view(batch->pg, player_ids, n, views, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct status_result result = {
			.active = views[i].active,
			.session = views[i].active ? &views[i].session : NULL,
		};
		reply_ok(calls[i], &result);
	}
	return 0;
}

void get_auto_session_status(struct batch *batch)
{
	serve_in_rounds(batch, serve);
}

#include "services/tick/start_auto_session.h"

#include "crash.h"
#include "services/tick/auto_session.h"
#include "services/tick/category.h"
#include "services/tick/rounds.h"

struct start_request {
	int64_t player_id;
	int active_category;
};

struct start_result {
	bool started;
	struct auto_session *session;
};

static const struct field request_fields[] = {
	FIELD(struct start_request, player_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
	FIELD(struct start_request, active_category, .required = true, .choices = category_names,
		.n_choices = CATEGORY_COUNT, .help = "what the session is spent on"),
};
const struct schema start_auto_session_request = SCHEMA(
	struct start_request, request_fields, .name = "start_auto_session request");

static const struct field result_fields[] = {
	FIELD(struct start_result, started, .help = "false when one was active already, which is left as it was"),
	FIELD(struct start_result, session, .of = &auto_session_schema, .nullable = true,
		.help = "the active session; null for a retried start that is older than a delete"),
};
const struct schema start_auto_session_result = SCHEMA(
	struct start_result, result_fields, .name = "start_auto_session result");

static void answer(struct call *call, int64_t player_id, bool started, struct session_view *view)
{
	struct start_result result = { .started = started, .session = view->active ? &view->session : NULL };

	if (view->known)
		reply_ok(call, &result);
	else
		refuse(call, CODE_NOT_FOUND, "there is no character %lld", (long long)player_id);
}

/* Those who began nothing have changed nothing: theirs alone is tried again when the look fails. */
static void answer_others(struct batch *batch, struct call **calls, const int64_t *player_ids, size_t n)
{
	CLEANUP(release_memory) struct session_view *views = must_alloc(n * sizeof(*views));
	struct error err;
	int failed = session_view(batch->pg, player_ids, n, views, &err);

	for (size_t i = 0; i < n; i++) {
		if (failed)
			retry(calls[i], &err);
		else
			answer(calls[i], player_ids[i], false, &views[i]);
	}
}

static int serve(struct batch *batch, struct call **calls, const int64_t *player_ids, size_t n, struct error *err)
{
	CLEANUP(release_memory) struct session_request *requests = must_alloc(n * sizeof(*requests));
	CLEANUP(release_memory) struct session_view *views = must_alloc(n * sizeof(*views));
	CLEANUP(release_memory) struct call **others = must_alloc(n * sizeof(struct call *));
	CLEANUP(release_memory) int64_t *other_ids = must_alloc(n * sizeof(*other_ids));
	size_t n_others = 0;

	for (size_t i = 0; i < n; i++) {
		const struct start_request *in = call_args(calls[i]);

		requests[i] = session_request_of(calls[i], in->player_id, category_names[in->active_category]);
	}
	if (session_start(batch->pg, requests, n, views, err))
		return -1;
	crash_point("tick_session_started");
	for (size_t i = 0; i < n; i++) {
		if (views[i].active) {
			answer(calls[i], player_ids[i], true, &views[i]);
			continue;
		}
		others[n_others] = calls[i];
		other_ids[n_others++] = player_ids[i];
	}
	if (n_others)
		answer_others(batch, others, other_ids, n_others);
	return 0;
}

void start_auto_session(struct batch *batch)
{
	serve_in_rounds(batch, serve);
}

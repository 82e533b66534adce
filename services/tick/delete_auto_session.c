#include "services/tick/delete_auto_session.h"

#include "crash.h"
#include "services/tick/auto_session.h"
#include "services/tick/rounds.h"

struct delete_result {
	bool deleted;
};

static const struct field request_fields[] = {
	FIELD(struct player_request, player_id, .required = true, .min = 1, .max = INT_LIMIT, .help = "the character"),
};
const struct schema delete_auto_session_request = SCHEMA(
	struct player_request, request_fields, .name = "delete_auto_session request");

static const struct field result_fields[] = {
	FIELD(struct delete_result, deleted, .help = "false when none was active"),
};
const struct schema delete_auto_session_result = SCHEMA(
	struct delete_result, result_fields, .name = "delete_auto_session result");

static int serve(struct batch *batch, struct call **calls, const int64_t *player_ids, size_t n, struct error *err)
{
	CLEANUP(release_memory) struct session_request *requests = must_alloc(n * sizeof(*requests));
	CLEANUP(release_memory) bool *deleted = must_alloc(n * sizeof(*deleted));

	for (size_t i = 0; i < n; i++)
		requests[i] = session_request_of(calls[i], player_ids[i], NULL);
	if (session_end(batch->pg, requests, n, deleted, err))
		return -1;
	crash_point("tick_session_ended");
	for (size_t i = 0; i < n; i++)
		reply_ok(calls[i], &(struct delete_result){ .deleted = deleted[i] });
	return 0;
}

void delete_auto_session(struct batch *batch)
{
	serve_in_rounds(batch, serve);
}

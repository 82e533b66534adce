#include "arena_session.h"

#include <string.h>

#include "arena_script.h"
#include "arena_settings.h"
#include "crash.h"
#include "gear_score.h"

static const struct pg_statement read_settled = {
	"arena_settled_fights",
	"SELECT session_id FROM combat_history WHERE session_id = ANY($1) AND settlement_status = 'processed'",
};

static void fail_pending(struct arena_join *joins, size_t n, const struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].status == JOIN_PENDING) {
			joins[i].status = JOIN_FAILED;
			joins[i].error = *err;
		}
}

static int read_gear(struct arena_session *session, struct arena_join *joins, size_t n, struct error *err)
{
	int64_t *ids = scratch_array(session->scratch, n, sizeof(*ids));
	struct gear_scores scores;

	for (size_t i = 0; i < n; i++)
		ids[i] = joins[i].char_id;
	if (gear_scores_read(session->pg, ids, n, session->scratch, &scores, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct gear_score *found = gear_scores_find(&scores, joins[i].char_id);

		if (found)
			joins[i].gear_score = found->score;
		else
			joins[i].status = JOIN_NO_CHARACTER;
	}
	return 0;
}

static void read_answer(struct arena_session *session, const struct kv_answer *answer, struct arena_join *join)
{
	const char *kind = answer_kind(answer);

	if (!strcmp(kind, "request")) {
		join->status = JOIN_DONE;
		answer_request(session, answer, &join->request, NULL);
	} else if (!strcmp(kind, "newer")) {
		join->status = JOIN_SUPERSEDED;
	} else if (!strcmp(kind, "busy")) {
		join->status = JOIN_BUSY;
		join->reason = answer_word(session, answer, 1);
	} else if (!strcmp(kind, "match")) {
		join->status = JOIN_UNFINISHED;
		answer_request(session, answer, &join->request, NULL);
		join->reason = answer_word(session, answer, 6);
	} else {
		const char *text = kv_string(answer, NULL);

		join->status = JOIN_FAILED;
		error_set(&join->error, CODE_INTERNAL, "arena.lua failed: %s", text ? text : kind);
	}
}

/* Queues one call for so many pending joins. */
static void queue_joins(struct arena_session *session, struct arena_join *const *joins, size_t n)
{
	const char *words[SCRIPT_WORDS_MAX] = { script_number(session, arena_settings.request_ttl_ms) };
	size_t at = 1;

	for (size_t i = 0; i < n; i++) {
		const struct arena_join *join = joins[i];

		words[at++] = script_number(session, join->char_id);
		words[at++] = join->mode;
		words[at++] = script_number(session, join->gear_score);
		words[at++] = join->message_id;
		words[at++] = script_number(session, join->first_at_us);
		words[at++] = join->settled ? join->settled : "";
		words[at++] = script_battle_id(session);
		words[at++] = join->traceparent;
	}
	script_queue(session, "join", 0, "", words, at);
}

/* Sends all pending joins in one round trip. */
static int send_joins(struct arena_session *session, struct arena_join *joins, size_t n, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct arena_join **pending = scratch_array(session->scratch, n, sizeof(struct arena_join *));
	size_t m = 0;

	for (size_t i = 0; i < n; i++)
		if (joins[i].status == JOIN_PENDING)
			pending[m++] = &joins[i];
	for (size_t i = 0; i < m; i += JOINS_A_CALL)
		queue_joins(session, pending + i, m - i < JOINS_A_CALL ? m - i : JOINS_A_CALL);
	if (kv_sync(session->kv, &answers, err))
		return -1;
	for (size_t i = 0; i < m; i++) {
		const struct kv_answer *call = kv_at(&answers, i / JOINS_A_CALL);

		/* An error of the call is of all that were in it; one of theirs stands among the answers. */
		read_answer(session, kv_kind(call) == KV_ERROR ? call : kv_item(call, i % JOINS_A_CALL), pending[i]);
	}
	return 0;
}

/*
 * Asks the database which of the matches in the way belong to fights that were settled; their tombstones, which the script looks
 * for, are gone after a while or were never written. Those joins are pending again. *again says whether there are any.
 */
static int find_settled(
	struct arena_session *session, struct arena_join *joins, size_t n, bool *again, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct uuid *ids = scratch_array(session->scratch, n, sizeof(*ids));
	struct pg_params params = { 0 };
	size_t n_ids = 0;

	for (size_t i = 0; i < n; i++)
		if (joins[i].status == JOIN_UNFINISHED && !uuid_parse(joins[i].reason, &ids[n_ids]))
			n_ids++;
	if (!n_ids)
		return 0;
	pg_add_uuid_array(&params, ids, n_ids);
	if (pg_query(session->pg, &read_settled, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		char text[UUID_TEXT_MAX];
		struct uuid id = pg_uuid(&rows, row, 0);

		uuid_format(&id, text);
		for (size_t i = 0; i < n; i++) {
			if (joins[i].status != JOIN_UNFINISHED || strcmp(joins[i].reason, text))
				continue;
			joins[i].status = JOIN_PENDING;
			joins[i].settled = joins[i].reason;
			*again = true;
		}
	}
	return 0;
}

static void fail_unfinished(struct arena_join *joins, size_t n, const struct error *err)
{
	for (size_t i = 0; i < n; i++)
		if (joins[i].status == JOIN_UNFINISHED) {
			joins[i].status = JOIN_FAILED;
			joins[i].error = *err;
		}
}

void arena_session_join_queue(struct arena_session *session, struct arena_join *joins, size_t n)
{
	struct error err;
	bool again = false;

	if (read_gear(session, joins, n, &err)) {
		fail_pending(joins, n, &err);
		return;
	}
	crash_point("arena_gear_read");
	if (send_joins(session, joins, n, &err)) {
		fail_pending(joins, n, &err);
		return;
	}
	if (find_settled(session, joins, n, &again, &err))
		fail_unfinished(joins, n, &err);
	else if (again && send_joins(session, joins, n, &err))
		fail_pending(joins, n, &err);
}

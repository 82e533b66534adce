#include "arena_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arena_script.h"
#include "arena_settings.h"
#include "gear_score.h"
#include "trace.h"

int arena_session_leave_queue(struct arena_session *session, int64_t char_id, const char *mode, const char *message_id,
	int64_t first_at_us, bool *left, struct error *err)
{
	const char *words[] = { message_id, script_number(session, first_at_us) };
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (script_call(session, "leave", char_id, mode, words, ARRAY_LEN(words), &answers, err))
		return -1;
	*left = kv_integer(kv_at(&answers, 0), 0) == 1;
	return 0;
}

int arena_session_get_queue_status(struct arena_session *session, int64_t char_id, const struct arena_request **request,
	int64_t *waited_ms, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct arena_request *found = NULL;
	int64_t waited_us = 0;

	if (script_call(session, "status", char_id, "", NULL, 0, &answers, err))
		return -1;
	if (!strcmp(answer_kind(kv_at(&answers, 0)), "request")) {
		found = scratch_alloc(session->scratch, sizeof(*found));
		answer_request(session, kv_at(&answers, 0), found, &waited_us);
	}
	*request = found;
	*waited_ms = waited_us / 1000;
	return 0;
}

int arena_session_get_request_meta(
	struct arena_session *session, int64_t char_id, const struct arena_request **request, struct error *err)
{
	int64_t waited_ms;

	return arena_session_get_queue_status(session, char_id, request, &waited_ms, err);
}

static void queue_match(struct arena_session *session, int64_t char_id, const char *mode, const char *traceparent)
{
	const char *words[] = { script_number(session, arena_settings.timeout_ttl_ms), script_battle_id(session),
		traceparent };

	script_queue(session, "match", char_id, mode, words, ARRAY_LEN(words));
}

int arena_session_find_opponent(struct arena_session *session, int64_t char_id, const char *mode,
	const char *traceparent, enum match_status *status, struct battle *battle, struct error *err)
{
	static const char *const kinds[] = { "matched", "waiting", "timeout", "none" };
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	queue_match(session, char_id, mode, traceparent);
	if (kv_sync(session->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	const struct kv_answer *answer = kv_at(&answers, 0);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(answer_kind(answer), kinds[i]))
			continue;
		*status = (enum match_status)i;
		return *status != MATCH_MATCHED
			       ? 0
			       : battle_parse(answer_word(session, answer, 1), answer_word(session, answer, 2),
					 session->scratch, battle, err);
	}
	return error_set(err, CODE_INTERNAL, "arena.lua answered match with \"%s\"", answer_kind(answer));
}

int arena_session_check_timeout(struct arena_session *session, int64_t max, int64_t *n, struct error *err)
{
	const char *words[] = { script_number(session, max) };
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (script_call(session, "expire", 0, "", words, ARRAY_LEN(words), &answers, err))
		return -1;
	*n = kv_integer(kv_at(&answers, 0), 0);
	return 0;
}

/* Queues a match for each "<char> <mode>" of the list; the number queued. */
static size_t queue_matches(struct arena_session *session, const struct kv_answer *entries)
{
	size_t queued = 0;

	for (size_t i = 0; i < kv_length(entries); i++) {
		const char *entry = kv_string(kv_item(entries, i), NULL);
		int64_t char_id;
		int mode_at = 0;

		if (!entry || sscanf(entry, "%" SCNd64 " %n", &char_id, &mode_at) != 1 || !mode_at)
			continue;
		if (!arena_mode_known(entry + mode_at))
			continue;
		queue_match(session, char_id, scratch_strdup(session->scratch, entry + mode_at), "");
		queued++;
	}
	return queued;
}

int arena_session_prepare_match(
	struct arena_session *session, int64_t max, int64_t *next, int64_t *matched, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers page = { 0 }, answers = { 0 };

	if (kv_command(session->kv, &page, err, "ZRANGE arena:expiry %lld %lld", (long long)*next,
		    (long long)(*next + max - 1)))
		return -1;
	*matched = 0;
	if (queue_matches(session, kv_at(&page, 0)) && (kv_sync(session->kv, &answers, err) || kv_check(&answers, err)))
		return -1;
	for (size_t i = 0; i < answers.n; i++)
		*matched += !strcmp(answer_kind(kv_at(&answers, i)), "matched");
	/* What is matched has left the list: those behind it have moved up. */
	*next = (int64_t)kv_length(kv_at(&page, 0)) < max ? 0 : *next + max - *matched;
	return 0;
}

int arena_session_count(struct arena_session *session, int64_t *waiting, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (kv_command(session->kv, &answers, err, "ZCARD arena:expiry"))
		return -1;
	*waiting = kv_integer(kv_at(&answers, 0), 0);
	return 0;
}

int arena_session_take_turn(struct arena_session *session, int64_t turn_ms, bool *mine, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (kv_command(session->kv, &answers, err, "SET arena:sweep 1 NX PX %lld", (long long)turn_ms))
		return -1;
	*mine = kv_kind(kv_at(&answers, 0)) != KV_NIL;
	return 0;
}

int arena_session_get_gear_score(struct arena_session *session, int64_t char_id, int64_t *gear_score, struct error *err)
{
	struct gear_scores scores;

	if (gear_scores_read(session->pg, &char_id, 1, session->scratch, &scores, err))
		return -1;
	const struct gear_score *found = gear_scores_find(&scores, char_id);
	if (!found)
		return error_set(err, CODE_NOT_FOUND, "there is no character %" PRId64, char_id);
	*gear_score = found->score;
	return 0;
}

static void parse_notice(struct arena_session *session, const char *text, struct arena_notice *notice)
{
	char trace[TRACEPARENT_LEN + 1], session_id[UUID_TEXT_MAX], mode[ARENA_MODE_MAX + 1];
	int end = 0;

	*notice = (struct arena_notice){ .kind = NOTICE_UNREADABLE, .entry = text, .traceparent = "" };
	if (sscanf(text, "battle %55s %36s %n", trace, session_id, &end) == 2 && end) {
		if (battle_parse(session_id, text + end, session->scratch, &notice->battle, NULL))
			return;
		notice->kind = NOTICE_BATTLE;
	} else if (sscanf(text, "expired %55s %" SCNd64 " %32s %" SCNd64, trace, &notice->char_id, mode,
			   &notice->expired_us) == 4) {
		notice->mode = scratch_strdup(session->scratch, mode);
		notice->kind = NOTICE_EXPIRED;
	} else {
		return;
	}
	if (strcmp(trace, "-") != 0)
		notice->traceparent = scratch_strdup(session->scratch, trace);
}

int arena_session_take_notices(struct arena_session *session, int64_t max, int64_t lease_ms,
	struct arena_notice **notices, size_t *n, struct error *err)
{
	const char *words[] = { script_number(session, max), script_number(session, lease_ms) };
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (script_call(session, "take", 0, "", words, ARRAY_LEN(words), &answers, err))
		return -1;
	const struct kv_answer *entries = kv_at(&answers, 0);
	size_t taken = kv_length(entries);
	struct arena_notice *items = scratch_array(session->scratch, taken, sizeof(*items));
	for (size_t i = 0; i < taken; i++)
		parse_notice(session, answer_word(session, entries, i), &items[i]);
	*notices = items;
	*n = taken;
	return 0;
}

int arena_session_drop_notices(
	struct arena_session *session, const struct arena_notice *notices, size_t n, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const char **words = scratch_array(session->scratch, n + 2, sizeof(*words));

	words[0] = "ZREM";
	words[1] = "arena:announce";
	for (size_t i = 0; i < n; i++)
		words[i + 2] = notices[i].entry;
	kv_queue_args(session->kv, n + 2, words, NULL);
	return kv_sync(session->kv, &answers, err) || kv_check(&answers, err) ? -1 : 0;
}

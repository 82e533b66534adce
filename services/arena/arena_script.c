#include "arena_script.h"

#include <inttypes.h>

#include "arena_settings.h"

extern const char arena_lua[]; /* arena.lua */

static const struct kv_script script = { .name = "arena", .lua = arena_lua };

struct arena_session arena_session_of(struct kv *kv, struct pg *pg, struct scratch *scratch)
{
	const struct arena_settings *is = &arena_settings;
	struct arena_session session = { .kv = kv, .pg = pg, .scratch = scratch };
	const int64_t rules[ARENA_RULES] = {
		is->range_percent,
		is->widen_percent,
		is->widen_percent ? is->widen_cap_percent : is->range_percent,
		is->patience_ms,
		is->battle_ttl_ms,
		arena_memory_ms(),
	};

	for (size_t i = 0; i < ARENA_RULES; i++)
		session.rules[i] = script_number(&session, rules[i]);
	return session;
}

void script_queue(struct arena_session *session, const char *operation, int64_t char_id, const char *mode,
	const char *const *words, size_t n_words)
{
	const char *arguments[3 + ARENA_RULES + SCRIPT_WORDS_MAX] = { operation, script_number(session, char_id),
		mode };
	size_t n = 3;

	if (n_words > SCRIPT_WORDS_MAX)
		BUG("%zu words for %s of arena.lua", n_words, operation);
	for (size_t i = 0; i < ARENA_RULES; i++)
		arguments[n++] = session->rules[i];
	for (size_t i = 0; i < n_words; i++)
		arguments[n++] = words[i];
	kv_queue_script(session->kv, &script, 0, n, arguments, NULL);
}

int script_call(struct arena_session *session, const char *operation, int64_t char_id, const char *mode,
	const char *const *words, size_t n_words, struct kv_answers *answers, struct error *err)
{
	script_queue(session, operation, char_id, mode, words, n_words);
	return kv_sync(session->kv, answers, err) || kv_check(answers, err) ? -1 : 0;
}

const char *script_number(struct arena_session *session, int64_t number)
{
	return scratch_printf(session->scratch, "%" PRId64, number);
}

const char *script_battle_id(struct arena_session *session)
{
	char text[UUID_TEXT_MAX];
	struct uuid id = uuid_random();

	return scratch_strdup(session->scratch, uuid_format(&id, text));
}

const char *answer_kind(const struct kv_answer *answer)
{
	const char *kind = kv_length(answer) ? kv_string(kv_item(answer, 0), NULL) : NULL;

	return kind ? kind : "";
}

const char *answer_word(struct arena_session *session, const struct kv_answer *answer, size_t i)
{
	const char *word = i < kv_length(answer) ? kv_string(kv_item(answer, i), NULL) : NULL;

	return scratch_strdup(session->scratch, word ? word : "");
}

static int64_t answer_number(const struct kv_answer *answer, size_t i)
{
	int64_t number = i < kv_length(answer) ? kv_integer(kv_item(answer, i), 0) : 0;

	/* What another program has written may be out of all bounds. */
	return number < -INT_LIMIT || number > INT_LIMIT ? 0 : number;
}

void answer_request(struct arena_session *session, const struct kv_answer *answer, struct arena_request *request,
	int64_t *waited_us)
{
	request->mode = answer_word(session, answer, 1);
	request->gear_score = answer_number(answer, 2);
	request->created_at.us = answer_number(answer, 3);
	request->expires_at.us = answer_number(answer, 4);
	if (waited_us)
		*waited_us = answer_number(answer, 5) - request->created_at.us;
}

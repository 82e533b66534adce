#include "fight_lookup.h"

#include <string.h>

#include "combat_keys.h"
#include "combat_settings.h"
#include "fight_history.h"

enum status { STATUS_ACTIVE, STATUS_SETTLING, STATUS_FINISHED, STATUS_COUNT };
enum source { SOURCE_SESSION, SOURCE_TOMBSTONE, SOURCE_HISTORY, SOURCE_COUNT };

static const char *const statuses[STATUS_COUNT] = { "active", "settling", "finished" };
static const char *const sources[SOURCE_COUNT] = { "session", "tombstone", "history" };

static const struct field ui_fields[] = {
	FIELD(struct fight_ui, clear_keyboard, .required = true, .help = "the fight's own buttons are stale"),
	FIELD(struct fight_ui, button, .nullable = true, .help = "view_result when there is a result to see"),
};
static const struct schema ui_schema = SCHEMA(struct fight_ui, ui_fields, .name = "ui");

const struct field fight_answer_fields[FIGHT_ANSWER_FIELDS] = {
	FIELD(struct fight_answer, status, .required = true, .choices = statuses, .n_choices = STATUS_COUNT,
		.help = "settling: the fight is over, its result not in effect yet"),
	FIELD(struct fight_answer, source, .required = true, .choices = sources, .n_choices = SOURCE_COUNT,
		.help = "where the answer was found"),
	FIELD(struct fight_answer, is_last, .required = true, .help = "the character was in no newer fight"),
	FIELD(struct fight_answer, result, .nullable = true, .of = &fight_result_schema,
		.help = "null unless finished and its document is there"),
	FIELD(struct fight_answer, message, .required = true, .help = "the text for the player"),
	FIELD(struct fight_answer, ui, .required = true, .of = &ui_schema,
		.help = "what to do with the player's buttons"),
};

/* Far more than 64 participants with all their loot take; what is longer is no tombstone of ours, and is not read. */
#define TOMBSTONE_MAX ((size_t)4 << 20)
#define RESTORE_COMMAND "state-backup.restore_full_state"
#define RESTORE_TIMEOUT_MS 2000

/* What Redis knows. */
struct known {
	struct json_text tombstone; /* .text NULL: none */
	bool live;		    /* the session is */
	bool unknown;		    /* the database did not know it a moment ago */
	bool in_context;	    /* ac:{id} is there */
	bool current;		    /* … and names this fight as the character's */
	bool last_known;	    /* … and names a last fight, … */
	bool last;		    /* … which is this one */
};

/* ---- answers ---- */

static enum outcome say_not_found(struct call *call, const struct asked_for *asked)
{
	return refuse(call, CODE_NOT_FOUND, "%s", result_phrase(asked->lang, PHRASE_NOT_FOUND));
}

static enum outcome say_not_yours(struct call *call, const struct asked_for *asked)
{
	return refuse(call, CODE_FORBIDDEN, "%s", result_phrase(asked->lang, PHRASE_NOT_YOURS));
}

static enum outcome say_unfinished(
	struct call *call, const struct asked_for *asked, enum status status, enum source source, bool is_last)
{
	const struct fight_answer answer = {
		.status = status,
		.source = source,
		.is_last = is_last,
		.message = result_phrase(asked->lang, status == STATUS_ACTIVE ? PHRASE_ACTIVE : PHRASE_SETTLING),
		.ui = { .clear_keyboard = status == STATUS_SETTLING },
	};

	return reply_ok(call, &answer);
}

static enum outcome say_finished(struct call *call, const struct asked_for *asked, const struct fight_summary *summary,
	enum source source, bool is_last)
{
	const struct fight_share *share = fight_summary_find(summary, asked->char_id);
	CLEANUP(text_release) struct text text = { 0 };
	struct fight_result result;
	struct fight_answer answer = {
		.status = STATUS_FINISHED,
		.source = source,
		.is_last = is_last,
		.result = &result,
		.ui = { .clear_keyboard = true, .button = "view_result" },
	};

	if (!share)
		return say_not_yours(call, asked);
	result = fight_result_of(summary, share);
	result_text_write(asked->lang, summary, share, &text);
	answer.message = text_str(&text);
	return reply_ok(call, &answer);
}

/* A row that another program wrote, without the document: that the fight is over is all there is to say. */
static enum outcome say_over(struct call *call, const struct asked_for *asked, bool is_last)
{
	const struct fight_answer answer = {
		.status = STATUS_FINISHED,
		.source = SOURCE_HISTORY,
		.is_last = is_last,
		.message = result_phrase(asked->lang, PHRASE_OVER),
		.ui = { .clear_keyboard = true },
	};

	return reply_ok(call, &answer);
}

/* ---- Redis ---- */

static bool same_session(const struct kv_answer *answer, const char *session)
{
	const char *text = kv_string(answer, NULL);

	return text && strcmp(text, session) == 0;
}

static void queue_context(struct call *call, int64_t char_id)
{
	kv_queue(call->kv, "HMGET " KEY_CHARACTER "%lld combat_session_id last_combat_session_id state bio",
		(long long)char_id);
}

static void queue_live(struct call *call, const char *session)
{
	kv_queue(call->kv, "EXISTS " KEY_SESSION "%s " KEY_OLD_SESSION "%s", session, session);
}

static void read_context(struct known *known, const struct kv_answer *context, const char *session)
{
	const char *last;

	if (kv_length(context) != 4)
		return;
	last = kv_string(kv_item(context, 1), NULL);
	known->in_context = kv_kind(kv_item(context, 2)) != KV_NIL && kv_kind(kv_item(context, 3)) != KV_NIL;
	known->current = same_session(kv_item(context, 0), session);
	known->last_known = last && *last;
	known->last = known->last_known && strcmp(last, session) == 0;
}

static int ask_redis(
	struct call *call, const struct asked_for *asked, const char *session, struct known *known, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	const char *tombstone;
	size_t len;

	kv_queue(call->kv, "GET " KEY_TOMBSTONE "%s", session);
	queue_live(call, session);
	kv_queue(call->kv, "EXISTS " KEY_UNKNOWN "%s", session);
	queue_context(call, asked->char_id);
	if (kv_sync(call->kv, &answers, err))
		return -1;
	*known = (struct known){ 0 };
	tombstone = kv_string(kv_at(&answers, 0), &len);
	if (tombstone && len <= TOMBSTONE_MAX && kv_kind(kv_at(&answers, 0)) == KV_STRING)
		known->tombstone = (struct json_text){ scratch_memdup(&call->scratch, tombstone, len), len };
	known->live = kv_integer(kv_at(&answers, 1), 0) > 0;
	known->unknown = kv_integer(kv_at(&answers, 2), 0) > 0;
	read_context(known, kv_at(&answers, 3), session);
	return 0;
}

/*
 * A context that is not there is restored, for it may say that this fight is the character's, and the live session comes back with
 * it. Without state-backup the database alone has to answer.
 */
static int restore_context(
	struct call *call, const struct asked_for *asked, const char *session, struct known *known, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(text_release) struct text body = { 0 };
	struct json_text result;
	struct error ignored;

	text_printf(&body, "{\"char_id\":%lld}", (long long)asked->char_id);
	if (call_service(call, RESTORE_COMMAND, &body, RESTORE_TIMEOUT_MS, &result, &ignored))
		return 0;
	queue_context(call, asked->char_id);
	queue_live(call, session);
	if (kv_sync(call->kv, &answers, err))
		return -1;
	read_context(known, kv_at(&answers, 0), session);
	known->live = kv_integer(kv_at(&answers, 1), 0) > 0;
	return 0;
}

/* A tombstone that cannot be read is none: the database has the same. */
static bool read_tombstone(struct call *call, const struct json_text *text, struct fight_summary *summary)
{
	struct problems problems = { 0 };
	struct error err;
	const cJSON *json = text->text ? json_parse(text->text, text->len, &call->scratch, &err) : NULL;

	return json && schema_read(&fight_summary_schema, json, summary, &call->scratch, &problems) == 0;
}

/* ---- the database ---- */

static enum outcome tell_history(
	struct call *call, const struct asked_for *asked, const struct fight_record *record, const struct known *known)
{
	bool is_last = record->is_newest || (known->last_known ? known->last : record->is_last);
	struct fight_summary summary;
	struct error err;

	if (!record->participated)
		return say_not_yours(call, asked);
	if (!record->processed)
		return say_unfinished(call, asked, STATUS_SETTLING, SOURCE_HISTORY, is_last || known->current);
	if (fight_history_read(call, record, asked->char_id, &summary, &err))
		return err.code == CODE_INTERNAL ? say_over(call, asked, is_last) : retry(call, &err);
	return say_finished(call, asked, &summary, SOURCE_HISTORY, is_last);
}

/* Neither tombstone nor history: the live session alone, or the context alone, speaks for it. */
static enum outcome tell_without_history(
	struct call *call, const struct asked_for *asked, const char *session, const struct known *known)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err;

	if (known->live)
		return say_unfinished(call, asked, STATUS_ACTIVE, SOURCE_SESSION, known->current);
	if (known->current)
		return say_unfinished(call, asked, STATUS_SETTLING, SOURCE_SESSION, true);
	kv_queue(call->kv, "SET " KEY_UNKNOWN "%s 1 PX %lld", session, (long long)combat_settings.unknown_fight_ttl_ms);
	if (kv_sync(call->kv, &answers, &err))
		return retry(call, &err);
	return say_not_found(call, asked);
}

enum outcome fight_lookup(struct call *call, const struct asked_for *asked)
{
	char session[UUID_TEXT_MAX];
	struct fight_summary summary;
	struct fight_record record;
	struct known known;
	struct error err;

	uuid_format(&asked->session_id, session);
	if (ask_redis(call, asked, session, &known, &err))
		return retry(call, &err);
	if (read_tombstone(call, &known.tombstone, &summary)) {
		if (!known.last_known &&
			fight_history_is_last(call, asked->char_id, &asked->session_id, &known.last, &err))
			return retry(call, &err);
		return say_finished(call, asked, &summary, SOURCE_TOMBSTONE, known.last);
	}
	if (known.unknown && !known.live && !known.current)
		return say_not_found(call, asked);
	/* One that another program began, and that names this fight already, has said what it can. */
	if (!known.live && !known.in_context && !known.current && restore_context(call, asked, session, &known, &err))
		return retry(call, &err);
	if (fight_history_find(call, &asked->session_id, asked->char_id, &record, &err))
		return retry(call, &err);
	return record.found ? tell_history(call, asked, &record, &known)
			    : tell_without_history(call, asked, session, &known);
}

enum outcome fight_lookup_last(struct call *call, const struct asked_for *asked)
{
	static const struct known nothing;
	struct fight_record record;
	struct error err;

	if (fight_history_find_newest(call, asked->char_id, &record, &err))
		return retry(call, &err);
	if (!record.found)
		return say_not_found(call, asked);
	return tell_history(call, asked, &record, &nothing);
}

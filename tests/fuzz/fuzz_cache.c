/* link: tests/fuzz/hostile_kv.c tests/fuzz/services/state-backup.c */
/*
 * What other programs may have written into Redis, read by those who read it: a character's context and its marks, the arena's requests,
 * battles and notices, the tick queues and their cursor, tombstones; and JSON that lies in PostgreSQL: loot tables, snapshots of sessions.
 * Whatever it is, what comes of it is either refused in words or within its bounds.
 */
#include <string.h>

#include "hostile_kv.h"
#include "random_json.h"
#include "services/arena/arena_script.h"
#include "services/arena/arena_settings.h"
#include "services/combat-settlement/fight_summary.h"
#include "services/combat-settlement/result_text.h"
#include "services/services.h"
#include "services/state-backup/cache_store.h"
#include "services/state-backup/marks.h"
#include "services/state-backup/payload.h"
#include "services/state-backup/snapshot.h"
#include "services/tick/queue.h"
#include "services/tick/tick_batch.h"
#include "services/tick/tick_settings.h"

#define CAP ((size_t)4 << 20)
#define DUES_MAX 64
#define NOW_US INT64_C(1700000000000000)

typedef void reader(struct kv *kv, struct source *source, struct scratch *scratch);

/* ---- state-backup ---- */

static void check_text(const char *text)
{
	if (text && !utf8_valid(text, strlen(text)))
		BUG("text for the database is no UTF-8");
}

static void read_context(struct kv *kv, struct source *source, struct scratch *scratch)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(scratch_release) struct scratch work = { .cap = CAP };
	struct snapshot snapshot;
	struct cache cache;
	struct error err;
	const char *problem;

	(void)source;
	cache_queue_read(kv, 101);
	if (kv_sync(kv, &answers, &err))
		return;
	if (cache_take(kv_at(&answers, 0), &cache))
		return;
	problem = snapshot_read(101, &cache, scratch, &work, &snapshot);
	if (problem) {
		if (!*problem)
			BUG("unreadable without words");
		return;
	}
	check_text(snapshot.state);
	check_text(snapshot.current);
	check_text(snapshot.prev);
	check_text(snapshot.name);
	check_text(snapshot.gender);
	if (snapshot.vitals.at && !json_parse(snapshot.vitals.at, snapshot.vitals.len, &work, &err))
		BUG("vitals are no JSON");
	if (snapshot.stats.at && !json_parse(snapshot.stats.at, snapshot.stats.len, &work, &err))
		BUG("stats are no JSON");
}

static void read_marks(struct kv *kv, struct source *source, struct scratch *scratch)
{
	struct marks_state state;
	struct mark_batch batch;
	struct marks marks;
	struct error err;

	(void)source;
	marks_init(&marks, kv);
	if (marks_take(&marks, 100, true, scratch, &batch, &err) == 0)
		for (size_t i = 0; i < batch.n; i++)
			if (batch.marks[i].char_id < 0)
				BUG("a mark of character %lld", (long long)batch.marks[i].char_id);
	marks_watch(&marks, &state, &err);
}

static void read_payload(struct kv *kv, struct source *source, struct scratch *scratch)
{
	struct bytes *parts;
	size_t len, n, sum = 0;
	const char *payload = source_text(source, 2000, scratch, &len);

	(void)kv;
	if (payload_split(payload, len, scratch, &parts, &n))
		return;
	for (size_t i = 0; i < n; i++)
		sum += parts[i].len;
	if (n % 2 || sum > len)
		BUG("%zu parts of %zu bytes in %zu", n, sum, len);
}

/* ---- arena ---- */

static void read_arena(struct kv *kv, struct source *source, struct scratch *scratch)
{
	struct arena_session session = arena_session_of(kv, NULL, scratch);
	const struct arena_request *request;
	struct arena_notice *notices;
	enum match_status status;
	struct battle battle;
	int64_t number = 0, other;
	struct error err;
	bool left;
	size_t n;

	(void)source;
	if (arena_session_find_opponent(&session, 101, "1v1", "", &status, &battle, &err) == 0 &&
		status == MATCH_MATCHED) {
		CLEANUP(text_release) struct text text = { 0 };

		schema_write(&battle_schema, &battle, &text);
		battle_opponent(&battle, 101);
	}
	arena_session_get_queue_status(&session, 101, &request, &number, &err);
	arena_session_leave_queue(&session, 101, "1v1", "", 0, &left, &err);
	arena_session_check_timeout(&session, 10, &number, &err);
	number = 0;
	arena_session_prepare_match(&session, 10, &number, &other, &err);
	if (arena_session_take_notices(&session, 10, 1000, &notices, &n, &err) == 0)
		arena_session_drop_notices(&session, notices, n, &err);
}

/* ---- tick ---- */

static void read_queues(struct kv *kv, struct source *source, struct scratch *scratch)
{
	struct tick_batch batch = { .now_us = NOW_US };
	struct due dues[DUES_MAX];
	struct queue_state state;
	size_t n, unreadable;
	struct error err;

	(void)source;
	(void)scratch;
	if (queue_look(kv, 1000, 360000, &state, &err) == 0 && strlen(state.cursor) >= sizeof(state.cursor))
		BUG("the cursor is too long");
	if (queue_take(kv, 0, DUES_MAX, dues, &n, &unreadable, &err))
		return;
	tick_batch_plan(&batch, dues, n);
	for (size_t i = 0; i < batch.n; i++)
		if (batch.ticks[i].next_us <= NOW_US || batch.ticks[i].count < 0)
			BUG("from %lld to %lld, %lld times", (long long)batch.ticks[i].due_us,
				(long long)batch.ticks[i].next_us, (long long)batch.ticks[i].count);
	tick_batch_release(&batch);
}

/* ---- combat-settlement ---- */

static void read_tombstone(struct kv *kv, struct source *source, struct scratch *scratch)
{
	CLEANUP(text_release) struct text made = { 0 };
	struct problems problems = { 0 };
	struct fight_summary summary;
	uint64_t seed = (uint64_t)source_number(source);
	struct error err;
	const cJSON *json;
	size_t len;
	const char *text = source_text(source, 2000, scratch, &len);

	(void)kv;
	if (seed % 4) {
		random_json(&made, &fight_summary_schema, &seed);
		taken_more(made.len);
		text = text_str(&made);
		len = made.len;
	}
	json = json_parse(text, len, scratch, &err);
	if (!json || schema_read(&fight_summary_schema, json, &summary, scratch, &problems))
		return;
	for (size_t i = 0; i < summary.participants.n; i++) {
		CLEANUP(text_release) struct text words = { 0 };
		const struct fight_share *share = (const struct fight_share *)summary.participants.items + i;
		struct fight_result result = fight_result_of(&summary, share);

		result_text_write((enum language)(seed % LANGUAGE_COUNT), &summary, share, &words);
		text_reset(&words);
		schema_write(&fight_result_schema, &result, &words);
		if (!json_parse(words.bytes, words.len, scratch, &err))
			BUG("%s: %s", err.text, text_str(&words));
	}
}

/* The settings' defaults, as service_main() takes them. */
static void set_up(void)
{
	static struct scratch kept = { .cap = CAP };

	if (kept.used)
		return;
	scratch_alloc(&kept, 1);
	schema_preset(&arena_settings_schema, &arena_settings, &kept);
	schema_preset(&tick_settings_schema, &tick_settings, &kept);
}

void take_input(const uint8_t *data, size_t size)
{
	static reader *const readers[] = { read_context, read_marks, read_payload, read_arena, read_queues,
		read_tombstone };
	CLEANUP(scratch_release) struct scratch scratch = { .cap = CAP };
	struct source source = { data, size };
	unsigned which = source_byte(&source) % ARRAY_LEN(readers);

	set_up();
	readers[which](hostile_kv(&source), &source, &scratch);
}

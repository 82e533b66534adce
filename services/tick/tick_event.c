#include "services/tick/tick_event.h"

#include "crash.h"
#include "log.h"
#include "services/tick/category.h"
#include "services/tick/tick_settings.h"

#define PAUSE_MS 1000 /* who writes an event wakes this timer; what a dead worker left is looked for */
#define PAUSE_OFF_MS 60000
#define PAUSE_FAILED_MS 1000

static const struct pg_statement write_event = { "tick_write_event", "INSERT INTO tick_events (body) VALUES ($1)" };

/* Those that another worker is publishing are passed over; should it die, its locks die with it. Few at a time, for they may be large. */
static const struct pg_statement read_events = {
	"tick_read_events",
	"SELECT seq, message_id, body FROM tick_events ORDER BY seq LIMIT 16 FOR UPDATE SKIP LOCKED",
};

static const struct pg_statement delete_events = {
	"tick_delete_events",
	"DELETE FROM tick_events WHERE seq = ANY ($1)",
};

struct credited {
	int64_t char_id;
	int64_t ticks, xp, gold, items;
};
static const struct field credited_fields[] = {
	FIELD(struct credited, char_id, .required = true, .help = "the character"),
	FIELD(struct credited, ticks, .required = true, .help = "due times credited"),
	FIELD(struct credited, xp, .required = true, .help = "experience gained"),
	FIELD(struct credited, gold, .required = true, .help = "gold gained"),
	FIELD(struct credited, items, .required = true, .help = "items gained, each counted"),
};
static const struct schema credited_schema = SCHEMA(struct credited, credited_fields, .name = "credited");

struct completed {
	int category;
	struct timestamp ticked_at;
	struct list characters;
};
static const struct field completed_fields[] = {
	FIELD(struct completed, category, .required = true, .choices = category_names, .n_choices = CATEGORY_COUNT,
		.help = "what the sessions are spent on"),
	FIELD(struct completed, ticked_at, .required = true, .help = "when the ticks were credited"),
	FIELD(struct completed, characters, .required = true, .of = &credited_schema, .help = "who got what"),
};
static const struct schema completed_schema = SCHEMA(struct completed, completed_fields, .name = "tick.completed");

const struct service_event tick_events[TICK_EVENTS] = {
	{ "completed", "A batch of ticks was credited (only with TICK_EVENTS=on)", &completed_schema },
};

static void write_body(const struct tick_batch *batch, struct text *body)
{
	CLEANUP(release_memory) struct credited *credited = must_alloc(batch->n * sizeof(*credited));
	struct completed completed = { batch->category, { batch->now_us }, { .items = credited } };

	for (size_t i = 0; i < batch->n; i++) {
		const struct tick *tick = &batch->ticks[i];

		if (tick->credited)
			credited[completed.characters.n++] = (struct credited){ tick->player_id, tick->count,
				tick->reward.xp, tick->reward.gold, tick->reward.items };
	}
	schema_write(&completed_schema, &completed, body);
}

bool tick_event_queue(struct pg *pg, const struct tick_batch *batch)
{
	CLEANUP(text_release) struct text body = { 0 };
	struct pg_params params = { 0 };

	if (!tick_settings.events || batch->n_credited == 0)
		return false;
	write_body(batch, &body);
	pg_add_json(&params, body.bytes, body.len);
	pg_queue(pg, &write_event, &params);
	return true;
}

static void publish_rows(struct call *call, const struct pg_rows *rows)
{
	for (int row = 0; row < rows->n; row++) {
		CLEANUP(text_release) struct text body = { 0 };
		struct uuid message_id = pg_uuid(rows, row, 1);
		char id[UUID_TEXT_MAX];
		size_t len;
		const char *json = pg_text(rows, row, 2, &len);

		text_add(&body, json, len);
		publish_event_json(call, "completed", uuid_format(&message_id, id), &body);
	}
}

static int publish_some(struct call *call, bool *more, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	CLEANUP(release_memory) int64_t *seqs = NULL;
	struct pg_params params = { 0 };

	pg_begin(call->pg);
	pg_queue(call->pg, &read_events, NULL);
	if (pg_sync(call->pg, &rows, 1, err))
		return -1;
	*more = rows.n > 0;
	if (rows.n == 0) {
		pg_rollback(call->pg);
		return 0;
	}
	crash_point("tick_events_read");
	publish_rows(call, &rows);
	if (publish_flush(call, err))
		return -1;
	crash_point("tick_events_confirmed");
	seqs = must_alloc((size_t)rows.n * sizeof(*seqs));
	for (int row = 0; row < rows.n; row++)
		seqs[row] = pg_int(&rows, row, 0);
	pg_add_int8_array(&params, seqs, (size_t)rows.n);
	pg_queue(call->pg, &delete_events, &params);
	pg_commit(call->pg);
	return pg_sync(call->pg, NULL, 1, err);
}

int64_t tick_event_publish(struct call *call)
{
	struct error err;
	bool more;

	if (!tick_settings.events)
		return PAUSE_OFF_MS;
	if (publish_some(call, &more, &err)) {
		pg_rollback(call->pg);
		call->down = err.down;
		log_line(LOG_WARN, "tick_events", "not published yet: %s", err.text);
		return PAUSE_FAILED_MS;
	}
	return more ? 0 : PAUSE_MS;
}

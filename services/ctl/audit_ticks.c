/* The schedule of auto-sessions, and the due ticks on their way. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "clock.h"

/* A tick this much later than the interval is forgotten, not late. */
#define GRACE_MS 10000
/* The schedulers' key lives for a second and is made anew at once. */
#define SCHEDULER_WAIT_MS 1200
#define SCHEDULER_LOOK_MS 20
/* Longer than any, where there is no telling. */
#define NO_INTERVAL_US (INT64_C(1) << 50)
/* Times that PostgreSQL knows. */
#define TIME_MAX_US (INT64_C(1) << 57)

static const char *const categories[] = { "exploration", "crafting", "trade", "general" };

/*
 * $1 interval in microseconds, $2 grace in ms, $3 how many. Due times lie on a grid from started_at on; between the last that passed
 * and the next there is none, and no more were credited than have passed.
 */
static const struct pg_statement sessions = {
	"audit_sessions",
	"WITH s AS (SELECT player_id, ticks, started_at, last_tick_at, next_tick_at,"
	"  (extract(epoch FROM last_tick_at - started_at) * 1000000)::bigint AS last_us,"
	"  (extract(epoch FROM next_tick_at - started_at) * 1000000)::bigint AS next_us FROM auto_sessions"
	"  WHERE isfinite(last_tick_at) AND isfinite(next_tick_at)),"
	" wrong AS (SELECT s.*, CASE WHEN last_us < 0 OR next_us <= last_us THEN 'order'"
	"  WHEN next_us % $1 <> 0 THEN 'grid' WHEN next_us / $1 - last_us / $1 > 1 THEN 'skipped'"
	"  WHEN ticks > last_us / $1 THEN 'ticks'"
	"  WHEN next_tick_at < now() - ($1 / 1000 + $2) * interval '1 ms' THEN 'overdue' END AS kind FROM s)"
	" SELECT count(*) OVER (), player_id, kind, started_at, last_tick_at, next_tick_at, ticks FROM wrong"
	" WHERE kind IS NOT NULL ORDER BY player_id LIMIT $3",
};

static const struct pg_statement usual_interval = {
	"audit_interval",
	"SELECT count(*), coalesce(mode() WITHIN GROUP (ORDER BY (extract(epoch FROM next_tick_at - last_tick_at) * "
	"1000000)"
	"::bigint) FILTER (WHERE next_tick_at > last_tick_at), 0) FROM auto_sessions"
	" WHERE isfinite(last_tick_at) AND isfinite(next_tick_at)",
};

static const struct pg_statement entries = {
	"audit_queue_entries",
	"SELECT d.place FROM unnest($2::bigint[], $3::timestamptz[], $4::timestamptz[]) WITH ORDINALITY"
	" d (id, due, started, place) WHERE NOT EXISTS (SELECT FROM auto_sessions s WHERE s.player_id = d.id"
	"  AND s.next_tick_at = d.due AND s.started_at = d.started AND s.active_category = $1)",
};

/* ---- the schedule ---- */

/* Which of the table's rules the session breaks. */
static const struct {
	const char *kind, *words;
} kinds[] = {
	{ "order", "its times are not in order" },
	{ "grid", "its next tick is not a whole number of intervals after its start" },
	{ "skipped", "due times between its last and its next tick are forgotten" },
	{ "ticks", "more ticks than due times have passed (or TICK_INTERVAL was raised since)" },
	{ "overdue", "its due tick is not credited" },
};

static void report_session(struct audit_report *report, const struct pg_rows *rows, int row, bool workers)
{
	char started[CLOCK_TEXT_MAX], last[CLOCK_TEXT_MAX], next[CLOCK_TEXT_MAX];
	int64_t player_id = pg_int(rows, row, 1);
	size_t kind = 0;

	while (strcmp(kinds[kind].kind, pg_text(rows, row, 2, NULL)) != 0)
		kind++;
	audit_find(report, kinds[kind].kind, player_id, NULL,
		"auto-session of character %lld: %s: started %s, last %s, next %s, %lld ticks%s", (long long)player_id,
		kinds[kind].words, clock_format(pg_timestamptz(rows, row, 3), started),
		clock_format(pg_timestamptz(rows, row, 4), last), clock_format(pg_timestamptz(rows, row, 5), next),
		(long long)pg_int(rows, row, 6), workers ? "" : "; no tick worker is at work");
}

/* TICK_INTERVAL as the workers have it; 0 when none is at work. */
static int ask_schedulers(const struct audit_sources *sources, int64_t *interval_ms, struct error *err)
{
	int64_t until_ms = clock_ms() + SCHEDULER_WAIT_MS;

	for (;;) {
		CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

		if (kv_command(audit_kv(sources), &answers, err, "GET tick:sweep"))
			return -1;
		*interval_ms = kv_integer(kv_at(&answers, 0), 0);
		if (*interval_ms > 0 || clock_ms() >= until_ms)
			return 0;
		clock_sleep_ms(SCHEDULER_LOOK_MS);
	}
}

static int look_at_schedule(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows usual = { 0 };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	int64_t interval_ms;

	if (audit_query(sources, &usual_interval, NULL, &usual, err))
		return -1;
	audit_count(report, "sessions", pg_int(&usual, 0, 0));
	if (pg_int(&usual, 0, 0) == 0)
		return 0;
	if (ask_schedulers(sources, &interval_ms, err))
		return -1;
	int64_t interval_us = interval_ms > 0 ? interval_ms * 1000 : pg_int(&usual, 0, 1);

	pg_add_int8(&params, interval_us > 0 ? interval_us : NO_INTERVAL_US);
	pg_add_int8(&params, GRACE_MS);
	pg_add_int8(&params, (int64_t)report->keep);
	if (audit_query(sources, &sessions, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++)
		report_session(report, &rows, row, interval_ms > 0);
	if (rows.n)
		audit_find_more(report, pg_int(&rows, 0, 0) - rows.n);
	return 0;
}

/* ---- the queues ---- */

/* Entries of one page as columns. */
struct due_page {
	int64_t ids[AUDIT_PAGE], dues[AUDIT_PAGE], starts[AUDIT_PAGE];
	const char *texts[AUDIT_PAGE];
	size_t n;
};

static void take_entry(
	struct audit_report *report, struct due_page *page, const char *category, const struct kv_answer *entry)
{
	const char *text = kv_string(entry, NULL);
	int64_t due_us, started_us;
	int end = 0;

	if (sscanf(text, "%" SCNd64 ":%" SCNd64 ":%" SCNd64 "%n", &page->ids[page->n], &due_us, &started_us, &end) <
			3 ||
		text[end] || llabs(due_us) > TIME_MAX_US || llabs(started_us) > TIME_MAX_US) {
		audit_find(report, "queue_entry", 0, NULL, "tick:queue:%s holds \"%s\", which is no due tick", category,
			text);
		return;
	}
	page->dues[page->n] = due_us;
	page->starts[page->n] = started_us;
	page->texts[page->n++] = text;
}

static int look_at_page(const struct audit_sources *sources, struct audit_report *report, const char *category,
	const struct due_page *page, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };

	pg_add_text(&params, category);
	pg_add_int8_array(&params, page->ids, page->n);
	pg_add_timestamptz_array(&params, page->dues, page->n);
	pg_add_timestamptz_array(&params, page->starts, page->n);
	if (audit_query(sources, &entries, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		size_t i = (size_t)pg_int(&rows, row, 0) - 1;

		audit_find(report, "queue_entry", page->ids[i], NULL,
			"tick:queue:%s holds %s for character %lld, which no session explains", category,
			page->texts[i], (long long)page->ids[i]);
	}
	return 0;
}

static int look_at_queue(
	const struct audit_sources *sources, struct audit_report *report, const char *category, struct error *err)
{
	CLEANUP(release_memory) struct due_page *page = must_alloc(sizeof(*page));

	for (long first = 0;; first += AUDIT_PAGE) {
		CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

		if (kv_command(audit_kv(sources), &answers, err, "LRANGE tick:queue:%s %lld %lld", category,
			    (long long)first, (long long)first + AUDIT_PAGE - 1))
			return -1;
		const struct kv_answer *list = kv_at(&answers, 0);

		page->n = 0;
		for (size_t i = 0; i < kv_length(list); i++)
			take_entry(report, page, category, kv_item(list, i));
		audit_count(report, "queued", (int64_t)kv_length(list));
		if (page->n && look_at_page(sources, report, category, page, err))
			return -1;
		if (kv_length(list) < AUDIT_PAGE)
			return 0;
	}
}

int audit_ticks(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	if (look_at_schedule(sources, report, err))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(categories); i++)
		if (look_at_queue(sources, report, categories[i], err))
			return -1;
	return 0;
}

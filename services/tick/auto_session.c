#include "services/tick/auto_session.h"

#include "services/tick/category.h"
#include "services/tick/tick_settings.h"

/*
 * A session past AUTO_SESSION_MAX ($1, in milliseconds) with nothing left to credit is over, though its row stays until somebody comes
 * by.
 */
#define IS_OVER                                                                                                        \
	"($1 > 0 AND s.started_at + $1 * interval '1 ms' <= now()"                                                     \
	" AND s.next_tick_at > s.started_at + $1 * interval '1 ms')"

/* What read_session() takes; player_id is null where there is none. */
#define SESSION_COLUMNS                                                                                                \
	"s.player_id, s.active_category, s.started_at, s.last_tick_at, s.next_tick_at, s.ticks, s.total_xp,"           \
	" s.total_gold, s.total_items"

/* What a session gave is kept when it ends, in sum with those before it: so a character's xp and gold can be accounted for. */
#define ADD_UP                                                                                                         \
	"ticks = e.ticks + excluded.ticks, total_xp = e.total_xp + excluded.total_xp,"                                 \
	" total_gold = e.total_gold + excluded.total_gold, total_items = e.total_items + excluded.total_items"

static const struct field totals_fields[] = {
	FIELD(struct session_totals, xp, .help = "experience gained"),
	FIELD(struct session_totals, gold, .help = "gold gained"),
	FIELD(struct session_totals, items, .help = "items gained, each counted"),
};
static const struct schema totals_schema = SCHEMA(struct session_totals, totals_fields, .name = "totals");

static const struct field session_fields[] = {
	FIELD(struct auto_session, player_id, .help = "the character"),
	FIELD(struct auto_session, active_category, .choices = category_names, .n_choices = CATEGORY_COUNT,
		.help = "what it is spent on"),
	FIELD(struct auto_session, started_at, .help = "when it began"),
	FIELD(struct auto_session, last_tick_at,
		.help = "the last due time that has passed; started_at before the first"),
	FIELD(struct auto_session, next_tick_at, .help = "the next due time"),
	FIELD(struct auto_session, ticks, .help = "due times credited"),
	FIELD(struct auto_session, totals, .of = &totals_schema, .help = "what it has given"),
};
const struct schema auto_session_schema = SCHEMA(struct auto_session, session_fields, .name = "auto session");

static const struct pg_statement start_sessions = {
	"tick_start_sessions",
	"INSERT INTO auto_sessions AS s"
	" (player_id, active_category, started_at, last_tick_at, next_tick_at, requested_at, start_key)"
	" SELECT d.id, d.category, t.now, t.now, t.now + $5 * interval '1 ms', d.first_at, d.key"
	" FROM (SELECT u.id, u.category, nullif(u.first_at, 'epoch') AS first_at, hashtextextended(u.key, 0) AS key"
	"  FROM unnest($1, $2, $3, $4) AS u (id, category, first_at, key)) d"
	" JOIN characters c ON c.id = d.id"
	" CROSS JOIN (SELECT date_trunc('milliseconds', now()) AS now) t"
	" LEFT JOIN auto_session_ends e ON e.player_id = d.id"
	" WHERE (e.ended_at > d.first_at) IS NOT TRUE AND (e.start_key = d.key) IS NOT TRUE"
	" ON CONFLICT (player_id) DO NOTHING RETURNING " SESSION_COLUMNS,
};

/*
 * A start that had to wait for somebody who was just ending the session looked at the ends before that one was there, and put in what
 * is over: a delivery that comes again while the delete behind it is at work. This statement sees what has been committed since.
 */
static const struct pg_statement undo_late_starts = {
	"tick_undo_late_starts",
	"DELETE FROM auto_sessions s USING (SELECT u.id, nullif(u.first_at, 'epoch') AS first_at,"
	"  hashtextextended(u.key, 0) AS key FROM unnest($1, $2, $3) AS u (id, first_at, key)) d, auto_session_ends e"
	" WHERE s.player_id = d.id AND e.player_id = d.id AND s.started_at = date_trunc('milliseconds', now())"
	" AND s.start_key IS NOT DISTINCT FROM d.key AND s.requested_at IS NOT DISTINCT FROM d.first_at"
	" AND (e.ended_at > d.first_at OR e.start_key = d.key) RETURNING s.player_id",
};

static const struct pg_statement end_sessions = {
	"tick_end_sessions",
	"WITH d AS (SELECT u.id, u.first_at, u.key"
	"  FROM (SELECT x.id, nullif(x.first_at, 'epoch') AS first_at, hashtextextended(x.key, 0) AS key"
	"   FROM unnest($2, $3, $4) AS x (id, first_at, key)) u"
	"  LEFT JOIN auto_session_ends e ON e.player_id = u.id WHERE (e.end_key = u.key) IS NOT TRUE),"
	" gone AS (DELETE FROM auto_sessions s USING d WHERE s.player_id = d.id"
	"  AND (coalesce(s.requested_at, s.started_at) > d.first_at) IS NOT TRUE"
	"  RETURNING s.player_id, s.start_key, s.ticks, s.total_xp, s.total_gold, s.total_items, NOT " IS_OVER
	" AS active),"
	" noted AS (INSERT INTO auto_session_ends AS e"
	"   (player_id, ended_at, start_key, end_key, ticks, total_xp, total_gold, total_items)"
	"  SELECT c.id, coalesce(d.first_at, now()), gone.start_key, d.key, coalesce(gone.ticks, 0),"
	"   coalesce(gone.total_xp, 0), coalesce(gone.total_gold, 0), coalesce(gone.total_items, 0)"
	"  FROM d JOIN characters c ON c.id = d.id LEFT JOIN gone ON gone.player_id = d.id"
	"  ON CONFLICT (player_id) DO UPDATE SET ended_at = greatest(e.ended_at, excluded.ended_at),"
	"  start_key = coalesce(excluded.start_key, e.start_key), end_key = excluded.end_key, " ADD_UP ")"
	" SELECT player_id FROM gone WHERE active",
};

static const struct pg_statement expire_sessions = {
	"tick_expire_sessions",
	"WITH gone AS (DELETE FROM auto_sessions s USING unnest($2) AS d (id) WHERE s.player_id = d.id"
	"  AND " IS_OVER " RETURNING s.player_id, s.started_at + $1 * interval '1 ms' AS ended_at, s.start_key,"
	"  s.ticks, s.total_xp, s.total_gold, s.total_items)"
	" INSERT INTO auto_session_ends AS e (player_id, ended_at, start_key, ticks, total_xp, total_gold, total_items)"
	" SELECT player_id, ended_at, start_key, ticks, total_xp, total_gold, total_items FROM gone"
	" ON CONFLICT (player_id) DO UPDATE SET ended_at = greatest(e.ended_at, excluded.ended_at),"
	" start_key = coalesce(excluded.start_key, e.start_key), " ADD_UP,
};

static const struct pg_statement view_sessions = {
	"tick_view_sessions",
	"SELECT c.id IS NOT NULL, " SESSION_COLUMNS " FROM unnest($2) WITH ORDINALITY AS d (id, place)"
	" LEFT JOIN characters c ON c.id = d.id"
	" LEFT JOIN auto_sessions s ON s.player_id = d.id AND NOT " IS_OVER " ORDER BY d.place",
};

struct session_request session_request_of(const struct call *call, int64_t player_id, const char *category)
{
	return (struct session_request){
		.player_id = player_id,
		.category = category,
		.first_at_us = call->message->attempt > 1 ? call->message->first_at_us : 0,
		.message_id = call->idempotency_key ? call->message_id : NULL,
	};
}

static void add_player_ids(struct pg_params *params, const struct session_request *requests, size_t n)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(n * sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = requests[i].player_id;
	pg_add_int8_array(params, ids, n);
}

static void add_first_at(struct pg_params *params, const struct session_request *requests, size_t n)
{
	CLEANUP(release_memory) int64_t *times = must_alloc(n * sizeof(*times));

	for (size_t i = 0; i < n; i++)
		times[i] = requests[i].first_at_us;
	pg_add_timestamptz_array(params, times, n);
}

static void add_texts(struct pg_params *params, const struct session_request *requests, size_t n, bool category)
{
	CLEANUP(release_memory) const char **texts = must_alloc(n * sizeof(*texts));

	for (size_t i = 0; i < n; i++)
		texts[i] = category ? requests[i].category : requests[i].message_id;
	pg_add_text_array(params, texts, n);
}

/* Whose request a row's first column names. */
static size_t request_of(const struct pg_rows *rows, int row, const struct session_request *requests, size_t n)
{
	int64_t id = pg_int(rows, row, 0);
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (requests[middle].player_id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Sets flags[i] where request i's player is among the rows. */
static void mark(const struct pg_rows *rows, const struct session_request *requests, size_t n, bool *flags)
{
	memset(flags, 0, n * sizeof(*flags));
	for (int row = 0; row < rows->n; row++)
		flags[request_of(rows, row, requests, n)] = true;
}

/* SESSION_COLUMNS, the first of them at column. */
static struct auto_session read_session(const struct pg_rows *rows, int row, int column)
{
	return (struct auto_session){
		.player_id = pg_int(rows, row, column),
		.active_category = category_by_name(pg_text(rows, row, column + 1, NULL)),
		.started_at.us = pg_timestamptz(rows, row, column + 2),
		.last_tick_at.us = pg_timestamptz(rows, row, column + 3),
		.next_tick_at.us = pg_timestamptz(rows, row, column + 4),
		.ticks = pg_int(rows, row, column + 5),
		.totals = { pg_int(rows, row, column + 6), pg_int(rows, row, column + 7),
			pg_int(rows, row, column + 8) },
	};
}

static void read_view(const struct pg_rows *rows, int row, struct session_view *view)
{
	*view = (struct session_view){ .known = pg_bool(rows, row, 0), .active = !pg_is_null(rows, row, 1) };
	if (view->active)
		view->session = read_session(rows, row, 1);
}

void session_queue_expiry(struct pg *pg, const int64_t *player_ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_int8(&params, tick_settings.auto_session_max_ms);
	pg_add_int8_array(&params, player_ids, n);
	pg_queue(pg, &expire_sessions, &params);
}

static void queue_view(struct pg *pg, const int64_t *player_ids, size_t n)
{
	struct pg_params params = { 0 };

	pg_add_int8(&params, tick_settings.auto_session_max_ms);
	pg_add_int8_array(&params, player_ids, n);
	pg_queue(pg, &view_sessions, &params);
}

static void queue_start(struct pg *pg, const struct session_request *requests, size_t n)
{
	struct pg_params params = { 0 };

	add_player_ids(&params, requests, n);
	add_texts(&params, requests, n, true);
	add_first_at(&params, requests, n);
	add_texts(&params, requests, n, false);
	pg_add_int8(&params, tick_settings.interval_ms);
	pg_queue(pg, &start_sessions, &params);
}

static void release_rows(struct pg_rows (*rows)[3])
{
	for (size_t i = 0; i < ARRAY_LEN(*rows); i++)
		pg_rows_release(&(*rows)[i]);
}

static bool queue_expiry_of_requests(struct pg *pg, const struct session_request *requests, size_t n)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(n * sizeof(*ids));

	if (tick_settings.auto_session_max_ms == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		ids[i] = requests[i].player_id;
	session_queue_expiry(pg, ids, n);
	return true;
}

/* Only what may have come before can be late. */
static bool queue_undo(struct pg *pg, const struct session_request *requests, size_t n)
{
	struct pg_params params = { 0 };
	size_t fresh = 0;

	while (fresh < n && !requests[fresh].message_id && !requests[fresh].first_at_us)
		fresh++;
	if (fresh == n)
		return false;
	add_player_ids(&params, requests, n);
	add_first_at(&params, requests, n);
	add_texts(&params, requests, n, false);
	pg_queue(pg, &undo_late_starts, &params);
	return true;
}

int session_start(
	struct pg *pg, const struct session_request *requests, size_t n, struct session_view *views, struct error *err)
{
	CLEANUP(release_rows) struct pg_rows results[3] = { 0 };
	const struct pg_rows *begun = results, *undone;
	bool undo;

	/* One sync is one transaction; each statement sees what others have committed before it. */
	begun += queue_expiry_of_requests(pg, requests, n);
	queue_start(pg, requests, n);
	undo = queue_undo(pg, requests, n);
	undone = begun + 1;
	if (pg_sync(pg, results, (size_t)(undone - results) + undo, err))
		return -1;
	memset(views, 0, n * sizeof(*views));
	for (int row = 0; row < begun->n; row++)
		views[request_of(begun, row, requests, n)] = (struct session_view){ true, true,
			read_session(begun, row, 0) };
	for (int row = 0; undo && row < undone->n; row++)
		views[request_of(undone, row, requests, n)] = (struct session_view){ 0 };
	return 0;
}

int session_end(struct pg *pg, const struct session_request *requests, size_t n, bool *deleted, struct error *err)
{
	struct pg_params params = { 0 };
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	pg_add_int8(&params, tick_settings.auto_session_max_ms);
	add_player_ids(&params, requests, n);
	add_first_at(&params, requests, n);
	add_texts(&params, requests, n, false);
	if (pg_query(pg, &end_sessions, &params, &rows, err))
		return -1;
	mark(&rows, requests, n, deleted);
	return 0;
}

int session_view(struct pg *pg, const int64_t *player_ids, size_t n, struct session_view *views, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

	queue_view(pg, player_ids, n);
	if (pg_sync(pg, &rows, 1, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		read_view(&rows, (int)i, &views[i]);
	return 0;
}

/* Whatever the broker has confirmed is settled, as it was told, and nothing else gave these characters anything. */
#include "simulate.h"

#include "clock.h"

#define LOOK_AGAIN_MS 200
#define PROBLEMS_SHOWN 10

static void problem(struct sim_verdict *verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct sim_verdict *verdict, const char *format, ...)
{
	char words[256];
	va_list args;

	if (verdict->differences++ >= PROBLEMS_SHOWN)
		return;
	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	text_printf(&verdict->problems, "%s\n", words);
}

/* ---- fights ---- */

/* The sessions that are not in the history as they were told; why. */
static const struct pg_statement unsettled = {
	"simulate_unsettled",
	"SELECT d.id, coalesce(h.settlement_status::text, 'unknown') FROM unnest($1::uuid[], $2::jsonb[]) d (id, "
	"document)"
	" LEFT JOIN combat_history h ON h.session_id = d.id"
	" WHERE h.settlement_status IS DISTINCT FROM 'processed' OR h.result_payload <> d.document",
};

static int ask_unsettled(const struct engine *engine, size_t first, const struct audit_sources *sources,
	struct pg_rows *rows, size_t *n, struct error *err)
{
	struct uuid sessions[AUDIT_PAGE];
	const char *documents[AUDIT_PAGE];
	size_t lens[AUDIT_PAGE];
	struct pg_params params = { 0 };

	*n = 0;
	for (size_t i = first; i < engine->n && i < first + AUDIT_PAGE; i++) {
		const struct sim_fight *fight = engine->fights[i];

		if (fight->stage != FIGHT_CONFIRMED)
			continue;
		sessions[*n] = fight->session_id;
		documents[*n] = fight->document.bytes;
		lens[(*n)++] = fight->document.len;
	}
	pg_add_uuid_array(&params, sessions, *n);
	pg_add_jsonb_array(&params, documents, lens, *n);
	return audit_query(sources, &unsettled, &params, rows, err);
}

/* One page of fights, waited for. */
static int check_fights(struct simulation *simulation, size_t first, const struct audit_sources *sources,
	int64_t until_ms, struct sim_verdict *verdict, struct error *err)
{
	char session[UUID_TEXT_MAX];
	size_t n;

	for (;;) {
		CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };

		if (ask_unsettled(&simulation->engine, first, sources, &rows, &n, err))
			return -1;
		if (rows.n && clock_ms() < until_ms) {
			clock_sleep_ms(LOOK_AGAIN_MS);
			continue;
		}
		for (int row = 0; row < rows.n; row++) {
			struct uuid id = pg_uuid(&rows, row, 0);

			problem(verdict, "fight %s was confirmed by the broker, but is %s in the history, or another",
				uuid_format(&id, session), pg_text(&rows, row, 1, NULL));
		}
		verdict->fights += (int64_t)n;
		verdict->processed += (int64_t)n - rows.n;
		return 0;
	}
}

/* ---- items ---- */

/* The crowd's characters began with nothing, and nobody but fights and ticks gives them anything. */
static const struct pg_statement items = {
	"simulate_items",
	"WITH crowd AS (SELECT unnest($1::bigint[]) AS id), fought AS (SELECT p.key AS id, sum((i ->> 'qty')::bigint) "
	"AS n"
	"  FROM combat_history h CROSS JOIN LATERAL jsonb_each(h.result_payload -> 'participants') p"
	"  CROSS JOIN LATERAL jsonb_array_elements(p.value #> '{changes,items_gained}') i"
	"  WHERE h.settlement_status = 'processed' AND h.participant_ids && $1 AND p.key = ANY ($1::text[]) GROUP BY "
	"1),"
	" held AS (SELECT character_id AS id, sum(quantity) AS n FROM inventory WHERE character_id = ANY ($1) GROUP BY "
	"1)"
	" SELECT c.id, coalesce(h.n, 0)::bigint, coalesce(f.n, 0)::bigint,"
	"  coalesce(s.total_items, 0) + coalesce(e.total_items, 0) FROM crowd c"
	" LEFT JOIN held h ON h.id = c.id LEFT JOIN fought f ON f.id = c.id::text"
	" LEFT JOIN auto_sessions s ON s.player_id = c.id LEFT JOIN auto_session_ends e ON e.player_id = c.id"
	" WHERE coalesce(h.n, 0) <> coalesce(f.n, 0) + coalesce(s.total_items, 0) + coalesce(e.total_items, 0)",
};

static int check_items(struct simulation *simulation, const struct audit_sources *sources, struct sim_verdict *verdict,
	struct error *err)
{
	CLEANUP(release_memory) int64_t *ids = must_alloc(simulation->n * sizeof(*ids));
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < simulation->n; i++)
		if (simulation->players[i].char_id)
			ids[n++] = simulation->players[i].char_id;
	pg_add_int8_array(&params, ids, n);
	if (audit_query(sources, &items, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++)
		problem(verdict, "character %lld has %lld items, but %lld from fights and %lld from ticks",
			(long long)pg_int(&rows, row, 0), (long long)pg_int(&rows, row, 1),
			(long long)pg_int(&rows, row, 2), (long long)pg_int(&rows, row, 3));
	return 0;
}

int simulate_check(struct simulation *simulation, const struct audit_sources *sources, struct sim_verdict *verdict,
	struct error *err)
{
	int64_t until_ms = clock_ms() + simulation->options->wait_ms;

	for (size_t first = 0; first < simulation->engine.n; first += AUDIT_PAGE)
		if (check_fights(simulation, first, sources, until_ms, verdict, err))
			return -1;
	return check_items(simulation, sources, verdict, err);
}

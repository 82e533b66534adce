/* Live characters, field by field, against the database. One with a mark may differ: it is still to be backed up. */
#include <stdio.h>
#include <string.h>

#include "audit.h"
#include "audit_context.h"

#define PAGE_SCRATCH ((size_t)256 << 20)
#define WORKERS_MAX 64
#define DIRTY "dirty_accounts"

/*
 * Differences only: character, field, what the cache and what the database says. What the cache does not have is not compared; of a
 * character without stats the database has none.
 */
static const struct pg_statement compare = {
	"audit_contexts",
	"SELECT d.id, v.field, left(v.cached, 200), left(v.stored, 200), d.marked FROM unnest($1::bigint[], "
	"$2::text[], "
	"$3::bool[],"
	" $4::text[], $5::bool[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::jsonb[], $11::jsonb[], "
	"$12::uuid[], $13::bool[])"
	" d (id, state, has_current, current, has_prev, prev, name, gender, created_at, stats, vitals, combat, marked)"
	" LEFT JOIN characters c ON c.id = d.id LEFT JOIN character_stats s ON s.character_id = d.id"
	" CROSS JOIN LATERAL (VALUES"
	"  ('character', 'there', 'no row', c.id IS NULL),"
	"  ('state', d.state, c.game_stage, c.id IS NOT NULL AND d.state <> c.game_stage),"
	"  ('location.current', d.current, c.location_id,"
	"   c.id IS NOT NULL AND d.has_current AND d.current IS DISTINCT FROM c.location_id),"
	"  ('location.prev', d.prev, c.prev_location_id,"
	"   c.id IS NOT NULL AND d.has_prev AND d.prev IS DISTINCT FROM c.prev_location_id),"
	"  ('bio.name', d.name, c.name, d.name <> c.name),"
	"  ('bio.gender', d.gender, c.gender, d.gender <> c.gender),"
	"  ('bio.created_at', d.created_at::text, c.created_at::text, d.created_at <> 'epoch'"
	"   AND date_trunc('milliseconds', d.created_at) <> date_trunc('milliseconds', c.created_at)),"
	"  ('stats', d.stats::text, s.stats::text, c.id IS NOT NULL AND d.stats <> coalesce(s.stats, '{}')),"
	"  ('vitals', d.vitals::text, c.vitals::text, d.vitals <> c.vitals),"
	"  ('combat_session_id', d.combat::text, 'processed', EXISTS (SELECT FROM combat_history h"
	"   WHERE h.session_id = d.combat AND h.settlement_status = 'processed'))"
	" ) v (field, cached, stored, differs) WHERE v.differs ORDER BY d.id",
};

/* The sets in which marks wait. */
struct marks {
	char sets[WORKERS_MAX + 1][80];
	size_t n;
};

struct looking {
	struct audit_report *report;
	struct marks marks;
};

/* A page of characters, as the statement takes them. */
struct contexts {
	struct context *items;
	bool *marked; /* by item */
	size_t n;
	struct scratch scratch;
};

static void contexts_release(struct contexts *contexts)
{
	free(contexts->items);
	free(contexts->marked);
	scratch_release(&contexts->scratch);
}

static void queue_reads(struct kv *kv, const struct contexts *contexts)
{
	for (size_t i = 0; i < contexts->n; i++) {
		const char *arguments[2 + CONTEXT_FIELDS] = { "HMGET" };
		char key[32];

		snprintf(key, sizeof(key), "ac:%lld", (long long)contexts->items[i].char_id);
		arguments[1] = key;
		memcpy(arguments + 2, context_fields, sizeof(context_fields));
		kv_queue_args(kv, ARRAY_LEN(arguments), arguments, NULL);
	}
}

/* One command about all characters of the page. */
static void queue_members(struct kv *kv, const char *command, const char *key, const struct contexts *contexts)
{
	CLEANUP(release_memory) const char **arguments = must_alloc((contexts->n + 2) * sizeof(*arguments));
	CLEANUP(release_memory) char(*ids)[24] = must_alloc((contexts->n + 1) * sizeof(*ids));

	arguments[0] = command;
	arguments[1] = key;
	for (size_t i = 0; i < contexts->n; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%lld", (long long)contexts->items[i].char_id);
		arguments[i + 2] = ids[i];
	}
	kv_queue_args(kv, contexts->n + 2, arguments, NULL);
}

static void read_marks(struct contexts *contexts, const struct kv_answers *answers, size_t n_sets)
{
	for (size_t set = 0; set <= n_sets; set++) {
		const struct kv_answer *answer = kv_at(answers, contexts->n + set);

		for (size_t i = 0; i < kv_length(answer) && i < contexts->n; i++) {
			const struct kv_answer *member = kv_item(answer, i);

			if (set == n_sets ? kv_kind(member) != KV_NIL : kv_integer(member, 0) == 1)
				contexts->marked[i] = true;
		}
	}
}

/* The caches first, the marks after: a mark is set after its change. answers must outlive the contexts. */
static int read_page(const struct audit_sources *sources, const struct marks *marks, struct contexts *contexts,
	struct kv_answers *answers, struct error *err)
{
	struct kv *kv = audit_kv(sources);

	queue_reads(kv, contexts);
	for (size_t set = 0; set < marks->n; set++)
		queue_members(kv, "SMISMEMBER", marks->sets[set], contexts);
	queue_members(kv, "ZMSCORE", DIRTY ":aside", contexts);
	if (kv_sync(kv, answers, err))
		return -1;
	for (size_t i = 0; i < contexts->n; i++)
		context_read(kv_at(answers, i), &contexts->scratch, &contexts->items[i]);
	read_marks(contexts, answers, marks->n);
	return 0;
}

/* ---- columns ---- */

enum { STATE, CURRENT, PREV, NAME, GENDER };

static void add_texts(struct pg_params *params, const struct contexts *contexts, int which)
{
	CLEANUP(release_memory) const char **values = must_alloc((contexts->n + 1) * sizeof(*values));

	for (size_t i = 0; i < contexts->n; i++) {
		const struct context *it = &contexts->items[i];
		const char *const all[] = { it->state, it->current, it->prev, it->name, it->gender };

		values[i] = all[which];
	}
	pg_add_text_array(params, values, contexts->n);
}

static void add_presence(struct pg_params *params, const struct contexts *contexts, int which)
{
	CLEANUP(release_memory) bool *values = must_alloc(contexts->n + 1);

	for (size_t i = 0; i < contexts->n; i++)
		values[i] = which == CURRENT ? contexts->items[i].has_current : contexts->items[i].has_prev;
	pg_add_bool_array(params, values, contexts->n);
}

static void add_documents(struct pg_params *params, const struct contexts *contexts, bool vitals)
{
	CLEANUP(release_memory) const char **values = must_alloc((contexts->n + 1) * sizeof(*values));
	CLEANUP(release_memory) size_t *lens = must_alloc((contexts->n + 1) * sizeof(*lens));

	for (size_t i = 0; i < contexts->n; i++) {
		values[i] = vitals ? contexts->items[i].vitals : contexts->items[i].stats;
		lens[i] = vitals ? contexts->items[i].vitals_len : contexts->items[i].stats_len;
	}
	pg_add_jsonb_array(params, values, lens, contexts->n);
}

static void add_columns(struct pg_params *params, const struct contexts *contexts)
{
	CLEANUP(release_memory) int64_t *numbers = must_alloc((contexts->n + 1) * sizeof(*numbers));
	CLEANUP(release_memory) struct uuid *sessions = must_alloc((contexts->n + 1) * sizeof(*sessions));

	for (size_t i = 0; i < contexts->n; i++)
		numbers[i] = contexts->items[i].char_id;
	pg_add_int8_array(params, numbers, contexts->n);
	add_texts(params, contexts, STATE);
	add_presence(params, contexts, CURRENT);
	add_texts(params, contexts, CURRENT);
	add_presence(params, contexts, PREV);
	add_texts(params, contexts, PREV);
	add_texts(params, contexts, NAME);
	add_texts(params, contexts, GENDER);
	for (size_t i = 0; i < contexts->n; i++) {
		numbers[i] = contexts->items[i].created_at_us;
		sessions[i] = contexts->items[i].combat;
	}
	pg_add_timestamptz_array(params, numbers, contexts->n);
	add_documents(params, contexts, false);
	add_documents(params, contexts, true);
	pg_add_uuid_array(params, sessions, contexts->n);
	pg_add_bool_array(params, contexts->marked, contexts->n);
}

/* ---- verdicts ---- */

static void report_difference(struct audit_report *report, const struct pg_rows *rows, int row)
{
	const char *field = pg_text(rows, row, 1, NULL), *cached = pg_text(rows, row, 2, NULL);
	const char *stored = pg_text(rows, row, 3, NULL);
	long long id = pg_int(rows, row, 0);

	if (strcmp(field, "character") == 0)
		audit_find(report, "stranger", id, NULL, "ac:%lld is there, but no such character", id);
	else if (strcmp(field, "combat_session_id") == 0)
		audit_find(report, "over", id, NULL,
			"character %lld: the cache is still in fight %s, which is processed", id, cached);
	else
		audit_find(report, "field", id, NULL, "character %lld: %s is %s in the cache, %s in the database", id,
			field, cached ? cached : "null", stored ? stored : "null");
}

/* What cannot be read is named, marked or not, for no backup will ever mend it. */
static void sift(struct audit_report *report, struct contexts *contexts)
{
	size_t kept = 0;

	for (size_t i = 0; i < contexts->n; i++) {
		const struct context *context = &contexts->items[i];

		if (context->unreadable) {
			audit_find(report, "unreadable", context->char_id, NULL,
				"ac:%lld cannot be backed up: %s is not what it should be", (long long)context->char_id,
				context->unreadable);
			continue;
		}
		contexts->marked[kept] = contexts->marked[i];
		contexts->items[kept++] = *context;
	}
	contexts->n = kept;
}

static int compare_contexts(const struct audit_sources *sources, const struct contexts *contexts,
	struct audit_report *report, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows rows = { 0 };
	struct pg_params params = { 0 };
	int64_t waiting = 0;

	add_columns(&params, contexts);
	if (audit_query(sources, &compare, &params, &rows, err))
		return -1;
	for (int row = 0; row < rows.n; row++) {
		if (!pg_bool(&rows, row, 4))
			report_difference(report, &rows, row);
		else if (row == 0 || pg_int(&rows, row, 0) != pg_int(&rows, row - 1, 0))
			waiting++;
	}
	audit_count(report, "still to be backed up", waiting);
	return 0;
}

static int look_at_contexts(
	const struct audit_sources *sources, const struct key_page *page, void *context, struct error *err)
{
	struct looking *looking = context;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(contexts_release)
	struct contexts contexts = {
		.items = must_zalloc(page->n * sizeof(*contexts.items)),
		.marked = must_zalloc(page->n),
	};

	scratch_init(&contexts.scratch, PAGE_SCRATCH);
	for (size_t i = 0; i < page->n; i++) {
		if (audit_number_of(page->keys[i] + strlen("ac:"), &contexts.items[contexts.n].char_id))
			contexts.n++;
		else
			audit_find(looking->report, "stranger", 0, NULL, "key %s is of no character", page->keys[i]);
	}
	audit_count(looking->report, "live characters", (int64_t)contexts.n);
	if (!contexts.n)
		return 0;
	if (read_page(sources, &looking->marks, &contexts, &answers, err))
		return -1;
	sift(looking->report, &contexts);
	return compare_contexts(sources, &contexts, looking->report, err);
}

static int find_marks(const struct audit_sources *sources, struct marks *marks, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };

	if (kv_command(audit_kv(sources), &answers, err, "SMEMBERS " DIRTY ":workers"))
		return -1;
	snprintf(marks->sets[marks->n++], sizeof(marks->sets[0]), DIRTY);
	for (size_t i = 0; i < kv_length(kv_at(&answers, 0)) && i < WORKERS_MAX; i++)
		snprintf(marks->sets[marks->n++], sizeof(marks->sets[0]), DIRTY ":processing:%.40s",
			kv_string(kv_item(kv_at(&answers, 0), i), NULL));
	return 0;
}

int audit_cache(const struct audit_sources *sources, struct audit_report *report, struct error *err)
{
	CLEANUP(release_memory) struct looking *looking = must_zalloc(sizeof(*looking));

	looking->report = report;
	audit_count(report, "live characters", 0);
	if (find_marks(sources, &looking->marks, err))
		return -1;
	return audit_scan(sources, "ac:*", look_at_contexts, looking, err);
}

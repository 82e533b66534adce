#include "backup.h"

#include <string.h>

#include "cache_store.h"
#include "characters.h"
#include "crash.h"
#include "session_save.h"

/* One transaction's worth of work. */
struct saving {
	struct pg *pg;
	struct kv *kv;
	struct scratch *scratch;
	struct backup *items;
	size_t n;
	int64_t *ids;
	bool *locked;
	struct snapshot *snapshots; /* by item; where .outcome is SAVED */
	struct session *sessions;
	size_t *session_items;
	size_t n_sessions;
};

static void read_one(struct saving *s, size_t i, const struct kv_answer *answer, struct scratch *work)
{
	struct backup *item = &s->items[i];
	struct cache cache;
	const char *problem = cache_take(answer, &cache);
	item->cached = problem || !cache_is_empty(&cache);
	if (!s->locked[i]) {
		item->outcome = SAVED_LOCKED;
		return;
	}
	if (!item->cached) {
		item->outcome = SAVED_NOTHING;
		return;
	}
	if (problem)
		problem = scratch_strdup(s->scratch, problem);
	else
		problem = snapshot_read(item->char_id, &cache, s->scratch, work, &s->snapshots[i]);
	item->outcome = problem ? SAVED_UNREADABLE : SAVED;
	item->problem = problem;
	for (size_t kind = 0; !problem && kind < n_session_kinds; kind++) {
		if (uuid_is_nil(&s->snapshots[i].sessions[kind]))
			continue;
		s->session_items[s->n_sessions] = i;
		s->sessions[s->n_sessions++] = (struct session){ .char_id = item->char_id,
			.kind = kind,
			.id = s->snapshots[i].sessions[kind],
			.key_id = cache.sessions[kind].at };
	}
}

/* answers must outlive the snapshots, which point into them. */
static int read_caches(struct saving *s, struct kv_answers *answers, struct error *err)
{
	for (size_t i = 0; i < s->n; i++)
		cache_queue_read(s->kv, s->ids[i]);
	if (kv_sync(s->kv, answers, err))
		return -1;
	CLEANUP(scratch_release) struct scratch work;
	scratch_init(&work, 64 << 20);
	for (size_t i = 0; i < s->n; i++) {
		read_one(s, i, kv_at(answers, i), &work);
		scratch_reset(&work);
	}
	return 0;
}

static int save_sessions(struct saving *s, struct error *err)
{
	crash_point("backup_cache_read");
	if (!s->n_sessions)
		return 0;
	if (sessions_find_finished(s->pg, s->sessions, s->n_sessions, err) ||
		sessions_save(s->pg, s->kv, s->sessions, s->n_sessions, s->scratch, err))
		return -1;
	for (size_t k = 0; k < s->n_sessions; k++) {
		const struct session *session = &s->sessions[k];
		struct backup *item = &s->items[s->session_items[k]];
		struct snapshot *snapshot = &s->snapshots[s->session_items[k]];
		if (session->problem) {
			item->outcome = SAVED_UNREADABLE;
			item->problem = session->problem;
		} else if (session->there) {
			item->sessions[session->kind] = session->id;
		}
		/* A cache still in a session that is over is behind the database, which has its end and what came of it. */
		if (session->over && snapshot->state && !strcmp(snapshot->state, session_kinds[session->kind]->name)) {
			snapshot->state = NULL;
			snapshot->vitals = (struct bytes){ 0 };
		}
	}
	return 0;
}

static int write_all(struct saving *s, struct error *err)
{
	const struct snapshot **good = scratch_array(s->scratch, s->n + 1, sizeof(const struct snapshot *));
	int64_t *live = scratch_array(s->scratch, s->n + 1, sizeof(*live));
	size_t n_good = 0, n_live = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->items[i].outcome != SAVED)
			continue;
		good[n_good++] = &s->snapshots[i];
		if (s->snapshots[i].live) /* the beginning of a hash says nothing by what it lacks */
			live[n_live++] = s->ids[i];
	}
	if (!n_good) {
		pg_rollback(s->pg);
		return 0;
	}
	crash_point("backup_sessions_saved");
	characters_queue_save(s->pg, good, n_good);
	sessions_queue_forget(s->pg, live, n_live, s->sessions, s->n_sessions);
	pg_commit(s->pg);
	return pg_sync(s->pg, NULL, CHARACTERS_SAVE_STATEMENTS + 1, err);
}

static int save_together(struct saving *s, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (characters_lock(s->pg, s->ids, s->n, s->locked, NULL, err) || read_caches(s, &answers, err) ||
		save_sessions(s, err) || write_all(s, err)) {
		pg_rollback(s->pg);
		return -1;
	}
	crash_point("backup_committed");
	return 0;
}

/* Those whose rows were not locked: held by others, or not there at all. */
static int tell_unknown(struct saving *s, struct error *err)
{
	int64_t *ids = scratch_array(s->scratch, s->n + 1, sizeof(*ids));
	size_t *places = scratch_array(s->scratch, s->n + 1, sizeof(*places));
	bool *exists = scratch_array(s->scratch, s->n + 1, sizeof(*exists));
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->locked[i])
			continue;
		places[n] = i;
		ids[n++] = s->ids[i];
	}
	if (!n)
		return 0;
	if (characters_exist(s->pg, ids, n, exists, err))
		return -1;
	for (size_t i = 0; i < n; i++)
		s->items[places[i]].outcome = exists[i] ? SAVED_LOCKED : SAVED_UNKNOWN;
	return 0;
}

static void saving_init(
	struct saving *s, struct pg *pg, struct kv *kv, struct backup *items, size_t n, struct scratch *scratch)
{
	*s = (struct saving){ .pg = pg, .kv = kv, .scratch = scratch, .items = items, .n = n };
	s->ids = scratch_array(scratch, n, sizeof(*s->ids));
	s->locked = scratch_array(scratch, n, sizeof(*s->locked));
	s->snapshots = scratch_array(scratch, n, sizeof(*s->snapshots));
	s->sessions = scratch_array(scratch, n * n_session_kinds, sizeof(*s->sessions));
	s->session_items = scratch_array(scratch, n * n_session_kinds, sizeof(*s->session_items));
	for (size_t i = 0; i < n; i++)
		s->ids[i] = items[i].char_id;
}

/* One of the values is what the database cannot take (a number past every type, a lone surrogate), not a fault of the fleet. */
static bool blames_data(const struct error *err)
{
	return !strncmp(err->sqlstate, "22", 2) || !strncmp(err->sqlstate, "23", 2) || !strncmp(err->sqlstate, "54", 2);
}

int backup_characters(
	struct pg *pg, struct kv *kv, struct backup *items, size_t n, struct scratch *scratch, struct error *err)
{
	if (!n)
		return 0;
	struct saving saving;
	saving_init(&saving, pg, kv, items, n, scratch);
	struct error failure;
	if (!save_together(&saving, &failure))
		return tell_unknown(&saving, err);
	if (!blames_data(&failure)) {
		*err = failure;
		return -1;
	}
	if (n == 1) {
		items[0].outcome = SAVED_UNREADABLE;
		items[0].problem = scratch_strdup(scratch, failure.text);
		return 0;
	}
	/* Find the one by halves, so that the others are saved. */
	if (backup_characters(pg, kv, items, n / 2, scratch, err))
		return -1;
	return backup_characters(pg, kv, items + n / 2, n - n / 2, scratch, err);
}

#include "restore.h"

#include <stdio.h>
#include <string.h>

#include "cache_store.h"
#include "cache_write.h"
#include "characters.h"
#include "clock.h"
#include "crash.h"
#include "session_restore.h"

_Static_assert(IDLE_IN_TRANSACTION_MS > 2 * TICKET_MS, "a ticket must not outlive the lock that it stands for");

/* Tries in all where Redis was emptied meanwhile. */
#define MAX_TRIES 3
/* So many at once are most often those of an emptied Redis: one question whether any cache is there costs less than to read them all. */
#define MANY 16

/* One transaction's worth of work: the items whose caches are not live. */
struct restoring {
	struct pg *pg;
	struct kv *kv;
	struct scratch *scratch;
	struct ticket ticket;
	struct restore **items; /* sorted */
	struct cache *caches;	/* what is there already, by item */
	size_t n;
	int64_t *ids;
	bool *locked;
	struct character *rows; /* by item, where locked */
	struct session *sessions;
	size_t n_sessions;
	const struct session **by_kind; /* item i, kind k: at i * n_session_kinds + k; NULL for none */
	size_t *calls;			/* by item, where locked: which call of the script writes its cache */
};

/* What is there ------------------------------------------------------------------------------------------------------*/

static void take_live(struct restore *item, const struct cache *cache, bool repeated, struct scratch *scratch)
{
	if (!cache_is_text(&cache->fields[CACHE_STATE])) {
		item->outcome = RESTORE_UNREADABLE;
		item->problem = "state is not text";
		return;
	}
	item->outcome = repeated ? RESTORED : RESTORE_LIVE;
	item->state = scratch_strdup(scratch, cache->fields[CACHE_STATE].at);
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		const struct bytes *id = &cache->sessions[kind];
		item->sessions[kind] = id->at && cache_is_text(id) ? scratch_strdup(scratch, id->at) : NULL;
	}
}

/* Without an answer no cache was there. */
static void look_at(struct restoring *r, struct restore *item, const struct kv_answer *answer, bool repeated)
{
	struct cache cache = { 0 };
	const char *problem = answer ? cache_take(answer, &cache) : NULL;
	if (problem && !item->force) {
		item->outcome = RESTORE_UNREADABLE;
		item->problem = scratch_strdup(r->scratch, problem);
	} else if (!problem && cache_is_live(&cache) && (repeated || !item->force)) {
		take_live(item, &cache, repeated, r->scratch);
	} else {
		r->caches[r->n] = cache;
		r->items[r->n] = item;
		r->ids[r->n++] = item->char_id;
	}
}

/* repeated[i]: a live cache that this very command has restored when it came before; the others are not asked about. */
static int find_repeated(struct restoring *r, const struct restore *items, size_t n, const struct kv_answers *caches,
	bool *repeated, struct error *err)
{
	size_t *places = scratch_array(r->scratch, n + 1, sizeof(*places));
	size_t n_places = 0, at = 1;
	for (size_t i = 0; i < n; i++) {
		struct cache cache;
		if (items[i].outcome != RESTORE_PENDING || cache_take(kv_at(caches, at++), &cache) ||
			!cache_is_live(&cache) || !items[i].repeat_id)
			continue;
		cache_queue_repeated(r->kv, items[i].repeat_id, items[i].char_id);
		places[n_places++] = i;
	}
	if (!n_places)
		return 0;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(r->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	for (size_t k = 0; k < n_places; k++)
		repeated[places[k]] = kv_integer(kv_at(&answers, k), 0) == 1;
	return 0;
}

/* False where none of their caches is there, as far as that is asked. */
static int find_any(struct restoring *r, const struct restore *items, size_t n, bool *any, struct error *err)
{
	int64_t *ids = scratch_array(r->scratch, n, sizeof(*ids));
	size_t n_ids = 0;
	for (size_t i = 0; i < n; i++)
		if (items[i].outcome == RESTORE_PENDING)
			ids[n_ids++] = items[i].char_id;
	*any = true;
	if (n_ids < MANY)
		return 0;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	cache_queue_count(r->kv, ids, n_ids, r->scratch);
	if (kv_sync(r->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	*any = kv_integer(kv_at(&answers, 0), 0) > 0;
	return 0;
}

/* Takes the ticket and sorts out those that need nothing; answers must outlive the caches. */
static int look(struct restoring *r, struct restore *items, size_t n, struct kv_answers *answers, struct error *err)
{
	bool any;
	if (find_any(r, items, n, &any, err))
		return -1;
	ticket_queue(r->kv, &r->ticket);
	for (size_t i = 0; i < n; i++)
		if (any && items[i].outcome == RESTORE_PENDING)
			cache_queue_read(r->kv, items[i].char_id);
	if (kv_sync(r->kv, answers, err))
		return -1;
	if (kv_kind(kv_at(answers, 0)) == KV_ERROR)
		return error_set(err, CODE_INTERNAL, "Redis: %s", kv_string(kv_at(answers, 0), NULL));
	bool *repeated = scratch_array(r->scratch, n, sizeof(*repeated));
	if (any && find_repeated(r, items, n, answers, repeated, err))
		return -1;
	size_t at = 1;
	for (size_t i = 0; i < n; i++)
		if (items[i].outcome == RESTORE_PENDING)
			look_at(r, &items[i], any ? kv_at(answers, at++) : NULL, repeated[i]);
	return 0;
}

/* The sessions ------------------------------------------------------------------------------------------------------*/

static size_t item_of(const struct restoring *r, int64_t char_id)
{
	size_t low = 0, high = r->n;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (r->ids[middle] < char_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A session that the hash itself names, where it is not live as a whole, goes before the one that was saved. */
static void add_named(struct restoring *r, size_t i)
{
	const struct cache *cache = &r->caches[i];
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		struct session session = { .char_id = r->ids[i], .kind = kind, .key_id = cache->sessions[kind].at };
		if (r->items[i]->force || !cache->sessions[kind].len || uuid_parse(session.key_id, &session.id))
			continue;
		r->sessions[r->n_sessions++] = session;
	}
}

static bool is_named(const struct restoring *r, const struct session *saved)
{
	for (size_t k = 0; k < r->n_sessions; k++)
		if (r->sessions[k].char_id == saved->char_id && r->sessions[k].kind == saved->kind)
			return true;
	return false;
}

static int find_sessions(struct restoring *r, struct error *err)
{
	struct session *saved = NULL;
	size_t n_saved = 0;
	if (sessions_of(r->pg, r->ids, r->n, r->scratch, &saved, &n_saved, err))
		return -1;
	r->sessions = scratch_array(r->scratch, n_saved + r->n * n_session_kinds + 1, sizeof(*r->sessions));
	for (size_t i = 0; i < r->n; i++)
		if (r->locked[i])
			add_named(r, i);
	const size_t n_named = r->n_sessions;
	for (size_t k = 0; k < n_saved; k++)
		if (r->locked[item_of(r, saved[k].char_id)] && !(n_named && is_named(r, &saved[k])))
			r->sessions[r->n_sessions++] = saved[k];
	if (sessions_find_finished(r->pg, r->sessions, r->n_sessions, err) ||
		sessions_restore(r->pg, r->kv, &r->ticket, r->sessions, r->n_sessions, err))
		return -1;
	r->by_kind = scratch_array(r->scratch, r->n * n_session_kinds + 1, sizeof(const struct session *));
	for (size_t k = 0; k < r->n_sessions; k++) {
		struct session *session = &r->sessions[k];
		session->over = !session->there;
		r->by_kind[item_of(r, session->char_id) * n_session_kinds + session->kind] = session;
	}
	return 0;
}

/* The caches --------------------------------------------------------------------------------------------------------*/

static bool same_command(const struct restore *a, const struct restore *b)
{
	return a->repeat_id == b->repeat_id || (a->repeat_id && b->repeat_id && !strcmp(a->repeat_id, b->repeat_id));
}

/* Locked items from one on, as many as one call of the script takes; returns where the next call begins. */
static size_t queue_caches(struct restoring *r, size_t from, size_t call)
{
	struct cache_write writes[CACHE_WRITES_MAX];
	size_t n = 0, first = 0, i = from;
	for (; i < r->n && n < CACHE_WRITES_MAX; i++) {
		if (!r->locked[i])
			continue;
		if (n && !same_command(r->items[i], r->items[first]))
			break;
		if (!n)
			first = i;
		r->calls[i] = call;
		writes[n++] = (struct cache_write){
			.row = &r->rows[i],
			.sessions = &r->by_kind[i * n_session_kinds],
			.force = r->items[i]->force,
		};
	}
	if (n)
		cache_queue_writes(r->kv, r->ticket.key, r->items[first]->repeat_id, writes, n);
	return i;
}

static void take_made(struct restoring *r, size_t i, bool idle)
{
	struct restore *item = r->items[i];
	item->outcome = RESTORED;
	item->state = idle ? "idle" : scratch_strdup(r->scratch, r->rows[i].game_stage);
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		const struct session *session = r->by_kind[i * n_session_kinds + kind];
		item->sessions[kind] = session && session->there ? cache_session_id(session, r->scratch) : NULL;
	}
}

static void take_found(struct restoring *r, struct restore *item, const struct kv_answer *answer)
{
	const char *what = kv_string(kv_item(answer, 0), NULL);
	if (!strcmp(what, "unreadable")) {
		item->outcome = RESTORE_UNREADABLE;
		item->problem = "the key is not a hash";
		return;
	}
	item->outcome = !strcmp(what, "live") ? RESTORE_LIVE : RESTORED;
	item->state = scratch_strdup(r->scratch, kv_string(kv_item(answer, 2), NULL));
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		size_t len = 0;
		const char *id = kv_string(kv_item(answer, 3 + kind), &len);
		item->sessions[kind] = len ? scratch_strdup(r->scratch, id) : NULL;
	}
}

/* True when the state had to become idle. */
static bool take_answer(struct restoring *r, size_t i, const struct kv_answer *answer)
{
	if (kv_kind(answer) == KV_INTEGER) {
		const bool idle = kv_integer(answer, 0) == 1;
		take_made(r, i, idle);
		return idle;
	}
	take_found(r, r->items[i], answer);
	return kv_length(answer) > 1 && kv_integer(kv_item(answer, 1), 0) == 1;
}

/* The characters that became idle into ids. */
static int write_caches(struct restoring *r, int64_t *idle, size_t *n_idle, struct error *err)
{
	for (size_t i = 0, call = 0; i < r->n; call++)
		i = queue_caches(r, i, call);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(r->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	bool stale = false;
	for (size_t i = 0, call = 0, at = 0; i < r->n; i++) {
		if (!r->locked[i])
			continue;
		if (r->calls[i] != call)
			at = 0;
		call = r->calls[i];
		if (kv_kind(kv_at(&answers, call)) != KV_ARRAY)
			stale = true;
		else if (take_answer(r, i, kv_item(kv_at(&answers, call), at++)))
			idle[(*n_idle)++] = r->ids[i];
	}
	return stale ? error_set(err, CODE_CONFLICT, "Redis was emptied meanwhile, or this worker slept") : 0;
}

/* All together ------------------------------------------------------------------------------------------------------*/

static int lock_rows(struct restoring *r, struct pg_rows *columns, struct error *err)
{
	if (characters_lock(r->pg, r->ids, r->n, r->locked, columns, err))
		return -1;
	for (int row = 0; row < columns->n; row++) {
		const struct character character = characters_row(columns, row);
		r->rows[item_of(r, character.id)] = character;
	}
	/* The columns are read after the lock, also of those that are there but not locked. */
	for (size_t i = 0; i < r->n; i++)
		if (!r->locked[i])
			r->items[i]->outcome = r->rows[i].id ? RESTORE_LOCKED : RESTORE_UNKNOWN;
	return 0;
}

static int restore_locked(struct restoring *r, struct error *err)
{
	CLEANUP(pg_rows_release) struct pg_rows columns = { 0 };
	int64_t *idle = scratch_array(r->scratch, r->n, sizeof(*idle));
	int64_t *locked = scratch_array(r->scratch, r->n, sizeof(*locked));
	size_t n_idle = 0, n_locked = 0;
	if (lock_rows(r, &columns, err))
		return -1;
	crash_point("restore_locked");
	if (find_sessions(r, err))
		return -1;
	crash_point("restore_sessions_written");
	if (write_caches(r, idle, &n_idle, err))
		return -1;
	crash_point("restore_cache_written");
	for (size_t i = 0; i < r->n; i++)
		if (r->locked[i] && r->items[i]->outcome == RESTORED)
			locked[n_locked++] = r->ids[i];
	characters_queue_idle(r->pg, idle, n_idle);
	sessions_queue_forget(r->pg, locked, n_locked, r->sessions, r->n_sessions);
	pg_commit(r->pg);
	if (pg_sync(r->pg, NULL, 2, err))
		return -1;
	crash_point("restore_committed");
	return 0;
}

static int restore_once(
	struct pg *pg, struct kv *kv, struct restore *items, size_t n, struct scratch *scratch, struct error *err)
{
	struct restoring r = { .pg = pg, .kv = kv, .scratch = scratch };
	r.items = scratch_array(scratch, n, sizeof(struct restore *));
	r.caches = scratch_array(scratch, n, sizeof(*r.caches));
	r.ids = scratch_array(scratch, n, sizeof(*r.ids));
	r.locked = scratch_array(scratch, n, sizeof(*r.locked));
	r.rows = scratch_array(scratch, n, sizeof(*r.rows));
	r.calls = scratch_array(scratch, n, sizeof(*r.calls));
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (look(&r, items, n, &answers, err))
		return -1;
	if (!r.n || !restore_locked(&r, err))
		return 0;
	pg_rollback(pg);
	return -1;
}

/* Again where Redis was emptied in between. */
static int restore_surely(
	struct pg *pg, struct kv *kv, struct restore *items, size_t n, struct scratch *scratch, struct error *err)
{
	for (int tries = 1;; tries++) {
		if (!restore_once(pg, kv, items, n, scratch, err))
			return 0;
		if (err->code != CODE_CONFLICT)
			return -1;
		if (tries == MAX_TRIES)
			return error_set(
				err, CODE_UNAVAILABLE, "%d times in a row Redis was emptied during a restore", tries);
	}
}

/* Those whose rows others held are to be tried again; how many. */
static size_t reopen(struct restore *items, size_t n)
{
	size_t locked = 0;
	for (size_t i = 0; i < n; i++) {
		if (items[i].outcome != RESTORE_LOCKED)
			continue;
		items[i].outcome = RESTORE_PENDING;
		locked++;
	}
	return locked;
}

int restore_characters(
	struct pg *pg, struct kv *kv, struct restore *items, size_t n, struct scratch *scratch, struct error *err)
{
	const int64_t until_ms = clock_ms() + LOCKED_FOR_MS;
	if (!n)
		return 0;
	for (;;) {
		if (restore_surely(pg, kv, items, n, scratch, err))
			return -1;
		if (clock_ms() >= until_ms || !reopen(items, n))
			return 0;
		clock_sleep_ms(LOCKED_POLL_MS);
	}
}

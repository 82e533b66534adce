#include "restore.h"

#include <stdio.h>
#include <string.h>

#include "cache_store.h"
#include "characters.h"
#include "clock.h"
#include "session_restore.h"

_Static_assert(IDLE_IN_TRANSACTION_MS > 2 * TICKET_MS, "a ticket must not outlive the lock that it stands for");

#define REPEAT_MS 600000
#define DIRTY_KEY "dirty_accounts"

/* Tries in all where Redis was emptied meanwhile. */
#define MAX_TRIES 3

/*
 * KEYS: ticket, cache, dirty_accounts, repeat mark. ARGV: character, 1 to force, repeat id or "", its lifetime in ms, number of
 * fields, field, value, … (the state first); then for each kind of session its state, its field, the session or "", 1 if that is
 * live. The first write is also what fails, before any other, when Redis is out of memory. Where nothing is there, which is nearly
 * always, one write does it; the rest fills a hash that is not live.
 */
static const struct kv_script write_cache = {
	.name = "write_cache",
	.lua = "if not redis.call('SET', KEYS[1], 1, 'XX', 'KEEPTTL') then return {'stale'} end\n"
	       "local cache, forced = KEYS[2], ARGV[2] == '1'\n"
	       "local first_kind = 6 + 2 * ARGV[5]\n"
	       "local kind, idle, answer = redis.call('TYPE', cache).ok, 0, {}\n"
	       "if kind == 'none' or forced then\n"
	       "  local fields = {unpack(ARGV, 6, first_kind - 1)}\n"
	       "  for k = first_kind, #ARGV, 4 do\n"
	       "    local live = ARGV[k + 3] == '1'\n"
	       "    answer[#answer + 1] = live and ARGV[k + 2] or ''\n"
	       "    if live then\n"
	       "      fields[#fields + 1] = ARGV[k + 1]\n"
	       "      fields[#fields + 1] = ARGV[k + 2]\n"
	       "    elseif fields[2] == ARGV[k] then\n"
	       "      fields[2] = 'idle'\n"
	       "      idle = 1\n"
	       "    end\n"
	       "  end\n"
	       "  if forced then redis.call('DEL', cache) end\n"
	       "  redis.call('HSET', cache, unpack(fields))\n"
	       "  if idle == 1 then redis.call('SADD', KEYS[3], ARGV[1]) end\n"
	       "  if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[4]) end\n"
	       "  return {'restored', idle, fields[2], unpack(answer)}\n"
	       "end\n"
	       "if kind ~= 'hash' then return {'unreadable'} end\n"
	       "local function session_of(field)\n"
	       "  local id = redis.call('HGET', cache, field)\n"
	       "  return id ~= '' and id\n"
	       "end\n"
	       "local function tell(what)\n"
	       "  for k = first_kind, #ARGV, 4 do answer[#answer + 1] = session_of(ARGV[k + 1]) or '' end\n"
	       "  return {what, idle, redis.call('HGET', cache, 'state'), unpack(answer)}\n"
	       "end\n"
	       "if redis.call('HEXISTS', cache, 'state') + redis.call('HEXISTS', cache, 'bio') == 2 then return "
	       "tell('live') end\n"
	       "for f = 6, first_kind - 1, 2 do redis.call('HSETNX', cache, ARGV[f], ARGV[f + 1]) end\n"
	       "for k = first_kind, #ARGV, 4 do\n"
	       "  local state, field, id, live = ARGV[k], ARGV[k + 1], ARGV[k + 2], ARGV[k + 3] == '1'\n"
	       "  local had = session_of(field)\n"
	       "  if not had and live then redis.call('HSET', cache, field, id) end\n"
	       "  if had and had == id and not live then redis.call('HDEL', cache, field) end\n"
	       "  if redis.call('HGET', cache, 'state') == state and not session_of(field) then\n"
	       "    redis.call('HSET', cache, 'state', 'idle')\n"
	       "    idle = 1\n"
	       "  end\n"
	       "end\n"
	       "redis.call('SADD', KEYS[3], ARGV[1])\n"
	       "if ARGV[3] ~= '' then redis.call('SET', KEYS[4], ARGV[3], 'PX', ARGV[4]) end\n"
	       "return tell('restored')\n",
};

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
};

static char *repeat_key(int64_t char_id, char buffer[static 64])
{
	snprintf(buffer, 64, "restore:done:%lld", (long long)char_id);
	return buffer;
}

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

static void look_at(struct restoring *r, struct restore *item, const struct kv_answer *answer, bool repeated)
{
	struct cache cache;
	const char *problem = cache_take(answer, &cache);
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
		char key[64];
		struct cache cache;
		if (items[i].outcome != RESTORE_PENDING || cache_take(kv_at(caches, at++), &cache) ||
			!cache_is_live(&cache) || !items[i].repeat_id)
			continue;
		kv_queue(r->kv, "GET %s", repeat_key(items[i].char_id, key));
		places[n_places++] = i;
	}
	if (!n_places)
		return 0;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(r->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	for (size_t k = 0; k < n_places; k++) {
		const char *id = kv_string(kv_at(&answers, k), NULL);
		repeated[places[k]] = id && !strcmp(id, items[places[k]].repeat_id);
	}
	return 0;
}

/* Takes the ticket and sorts out those that need nothing; answers must outlive the caches. */
static int look(struct restoring *r, struct restore *items, size_t n, struct kv_answers *answers, struct error *err)
{
	ticket_queue(r->kv, &r->ticket);
	for (size_t i = 0; i < n; i++)
		if (items[i].outcome == RESTORE_PENDING)
			cache_queue_read(r->kv, items[i].char_id);
	if (kv_sync(r->kv, answers, err))
		return -1;
	if (kv_kind(kv_at(answers, 0)) == KV_ERROR)
		return error_set(err, CODE_INTERNAL, "Redis: %s", kv_string(kv_at(answers, 0), NULL));
	bool *repeated = scratch_array(r->scratch, n, sizeof(*repeated));
	if (find_repeated(r, items, n, answers, repeated, err))
		return -1;
	size_t at = 1;
	for (size_t i = 0; i < n; i++)
		if (items[i].outcome == RESTORE_PENDING)
			look_at(r, &items[i], kv_at(answers, at++), repeated[i]);
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

#define ARGUMENTS_MAX (4 + 5 + 2 * CACHE_FIELDS + 4 * SESSION_KINDS_MAX)

struct arguments {
	const char *at[ARGUMENTS_MAX];
	size_t lens[ARGUMENTS_MAX];
	size_t n;
};

static void add_bytes(struct arguments *arguments, const char *bytes, size_t len)
{
	arguments->at[arguments->n] = bytes;
	arguments->lens[arguments->n++] = len;
}

static void add(struct arguments *arguments, const char *string)
{
	add_bytes(arguments, string, strlen(string));
}

static void add_field(struct arguments *arguments, enum cache_field field, const char *bytes, size_t len)
{
	add(arguments, cache_field_names[field]);
	add_bytes(arguments, bytes, len);
}

static void add_row(struct arguments *arguments, const struct character *row, struct text *location, struct text *bio,
	char last_combat[static UUID_TEXT_MAX])
{
	add(arguments, row->has_last_combat ? "6" : "5");
	add_field(arguments, CACHE_STATE, row->game_stage, strlen(row->game_stage));
	snapshot_write_location(location, row->location_id, row->prev_location_id);
	add_field(arguments, CACHE_LOCATION, location->bytes, location->len);
	snapshot_write_bio(bio, row->name, row->gender, row->created_at_us);
	add_field(arguments, CACHE_BIO, bio->bytes, bio->len);
	add_field(arguments, CACHE_STATS, row->stats.at ? row->stats.at : "{}", row->stats.at ? row->stats.len : 2);
	add_field(arguments, CACHE_VITALS, row->vitals.at, row->vitals.len);
	if (row->has_last_combat)
		add_field(arguments, CACHE_LAST_COMBAT, uuid_format(&row->last_combat, last_combat), UUID_TEXT_MAX - 1);
}

static void add_sessions(struct restoring *r, size_t i, struct arguments *arguments)
{
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		const struct session *session = r->by_kind[i * n_session_kinds + kind];
		char *id = scratch_alloc(r->scratch, UUID_TEXT_MAX);
		add(arguments, session_kinds[kind]->name);
		add(arguments, session_kinds[kind]->field);
		if (session)
			uuid_format(&session->id, id);
		add(arguments, session && session->key_id ? session->key_id : id);
		add(arguments, session && session->there ? "1" : "0");
	}
}

static void queue_cache(struct restoring *r, size_t i)
{
	char cache[CACHE_KEY_MAX], repeat[64], id[24], repeat_ms[24], last_combat[UUID_TEXT_MAX];
	const struct restore *item = r->items[i];
	CLEANUP(text_release) struct text location = { 0 };
	CLEANUP(text_release) struct text bio = { 0 };
	struct arguments arguments = { .n = 0 };
	add(&arguments, r->ticket.key);
	add(&arguments, cache_key(item->char_id, cache));
	add(&arguments, DIRTY_KEY);
	add(&arguments, repeat_key(item->char_id, repeat));
	snprintf(id, sizeof(id), "%lld", (long long)item->char_id);
	snprintf(repeat_ms, sizeof(repeat_ms), "%d", REPEAT_MS);
	add(&arguments, id);
	add(&arguments, item->force ? "1" : "0");
	add(&arguments, item->repeat_id ? item->repeat_id : "");
	add(&arguments, repeat_ms);
	add_row(&arguments, &r->rows[i], &location, &bio, last_combat);
	add_sessions(r, i, &arguments);
	kv_queue_script(r->kv, &write_cache, 4, arguments.n, arguments.at, arguments.lens);
}

/* 1 when the state had to become idle; 0; -1 when the ticket is gone. */
static int take_answer(struct restoring *r, struct restore *item, const struct kv_answer *answer)
{
	const char *what = kv_string(kv_item(answer, 0), NULL);
	if (!strcmp(what, "stale"))
		return -1;
	if (!strcmp(what, "unreadable")) {
		item->outcome = RESTORE_UNREADABLE;
		item->problem = "the key is not a hash";
		return 0;
	}
	item->outcome = !strcmp(what, "live") ? RESTORE_LIVE : RESTORED;
	item->state = scratch_strdup(r->scratch, kv_string(kv_item(answer, 2), NULL));
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		size_t len = 0;
		const char *id = kv_string(kv_item(answer, 3 + kind), &len);
		item->sessions[kind] = len ? scratch_strdup(r->scratch, id) : NULL;
	}
	return (int)kv_integer(kv_item(answer, 1), 0);
}

/* The characters that became idle into ids. */
static int write_caches(struct restoring *r, int64_t *idle, size_t *n_idle, struct error *err)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->locked[i])
			queue_cache(r, i);
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	if (kv_sync(r->kv, &answers, err) || kv_check(&answers, err))
		return -1;
	bool stale = false;
	for (size_t i = 0; i < r->n; i++) {
		if (!r->locked[i])
			continue;
		const int verdict = take_answer(r, r->items[i], kv_at(&answers, n++));
		stale = stale || verdict < 0;
		if (verdict == 1)
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
	if (lock_rows(r, &columns, err) || find_sessions(r, err) || write_caches(r, idle, &n_idle, err))
		return -1;
	for (size_t i = 0; i < r->n; i++)
		if (r->locked[i] && r->items[i]->outcome == RESTORED)
			locked[n_locked++] = r->ids[i];
	characters_queue_idle(r->pg, idle, n_idle);
	sessions_queue_forget(r->pg, locked, n_locked, r->sessions, r->n_sessions);
	pg_commit(r->pg);
	return pg_sync(r->pg, NULL, 2, err);
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

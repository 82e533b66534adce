#include "cache_write.h"

#include <stdio.h>
#include <string.h>

#include "cache_store.h"

#define REPEAT_MS 600000
#define DIRTY_KEY "dirty_accounts"

/*
 * KEYS: ticket, cache, dirty_accounts, repeat mark. ARGV: character, 1 to force, repeat id or "", its lifetime in ms, number of
 * fields, field, value, … (the state first); then for each kind of session its state, its field, the session or "", 1 if that is
 * live. The first write is also what fails, before any other, when Redis is out of memory. Where nothing is there, which is nearly
 * always, one write does it; the rest fills a hash that is not live.
 */
static const struct kv_script write_cache = {
	.name = "write_cache",
	.lua = "if redis.call('EXISTS', KEYS[1]) == 0 then return {'stale'} end\n"
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

char *cache_repeat_key(int64_t char_id, char buffer[static CACHE_KEY_MAX])
{
	snprintf(buffer, CACHE_KEY_MAX, "restore:done:%lld", (long long)char_id);
	return buffer;
}

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

static void add_sessions(struct arguments *arguments, const struct session *const *sessions, char ids[][UUID_TEXT_MAX])
{
	for (size_t kind = 0; kind < n_session_kinds; kind++) {
		const struct session *session = sessions[kind];
		ids[kind][0] = '\0';
		if (session)
			uuid_format(&session->id, ids[kind]);
		add(arguments, session_kinds[kind]->name);
		add(arguments, session_kinds[kind]->field);
		add(arguments, session && session->key_id ? session->key_id : ids[kind]);
		add(arguments, session && session->there ? "1" : "0");
	}
}

void cache_queue_write(struct kv *kv, const struct cache_write *write)
{
	char cache[CACHE_KEY_MAX], repeat[CACHE_KEY_MAX], id[24], repeat_ms[24], last_combat[UUID_TEXT_MAX];
	char session_ids[SESSION_KINDS_MAX][UUID_TEXT_MAX];
	CLEANUP(text_release) struct text location = { 0 };
	CLEANUP(text_release) struct text bio = { 0 };
	struct arguments arguments = { .n = 0 };
	snprintf(id, sizeof(id), "%lld", (long long)write->row->id);
	snprintf(repeat_ms, sizeof(repeat_ms), "%d", REPEAT_MS);
	add(&arguments, write->ticket_key);
	add(&arguments, cache_key(write->row->id, cache));
	add(&arguments, DIRTY_KEY);
	add(&arguments, cache_repeat_key(write->row->id, repeat));
	add(&arguments, id);
	add(&arguments, write->force ? "1" : "0");
	add(&arguments, write->repeat_id ? write->repeat_id : "");
	add(&arguments, repeat_ms);
	add_row(&arguments, write->row, &location, &bio, last_combat);
	add_sessions(&arguments, write->sessions, session_ids);
	kv_queue_script(kv, &write_cache, 4, arguments.n, arguments.at, arguments.lens);
}

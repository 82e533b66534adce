#include "services/tick/vitals_cache.h"

#include <inttypes.h>

#define NUMBER_MAX 32 /* "ac:" and a number, or a number */

/* KEYS: dirty_accounts, then the hashes. ARGV: three for each hash: character, due time, energy. */
static const struct kv_script change_script = {
	.name = "tick_energy",
	.lua = "local function change(key, id, due, energy)\n"
	       "  local held = redis.pcall('HMGET', key, 'vitals', 'tick_energy')\n"
	       "  if not held[1] then return end\n"
	       "  local readable, vitals = pcall(cjson.decode, held[1])\n"
	       "  local bar = readable and type(vitals) == 'table' and vitals.energy\n"
	       "  if type(bar) ~= 'table' or type(bar.cur) ~= 'number' or type(bar.max) ~= 'number' then return end\n"
	       "  local last_due, done = string.match(held[2] or '', '^(-?%d+):(-?%d+)$')\n"
	       "  local left = tonumber(energy) - (last_due == due and tonumber(done) or 0)\n"
	       "  bar.cur = math.max(0, math.min(bar.max, bar.cur + left))\n"
	       "  local writable, text = pcall(cjson.encode, vitals)\n"
	       "  if not writable then return end\n"
	       "  redis.call('HSET', key, 'vitals', text, 'tick_energy', due .. ':' .. energy)\n"
	       "  redis.call('SADD', KEYS[1], id)\n"
	       "end\n"
	       "for k = 2, #KEYS do change(KEYS[k], ARGV[3 * k - 5], ARGV[3 * k - 4], ARGV[3 * k - 3]) end\n"
	       "return 1\n",
};

static void write_number(
	char (*room)[NUMBER_MAX], const char **arguments, size_t *n, const char *prefix, int64_t number)
{
	snprintf(room[*n], NUMBER_MAX, "%s%" PRId64, prefix, number);
	arguments[*n] = room[*n];
	++*n;
}

int vitals_cache_change_energy(struct kv *kv, const struct energy_change *changes, size_t n, struct error *err)
{
	const size_t most = 1 + 4 * n;
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(release_memory) const char **arguments = must_alloc(most * sizeof(*arguments));
	CLEANUP(release_memory) char(*room)[NUMBER_MAX] = must_alloc(most * sizeof(*room));
	size_t at = 0;

	arguments[at++] = "dirty_accounts";
	for (size_t i = 0; i < n; i++)
		write_number(room, arguments, &at, "ac:", changes[i].player_id);
	for (size_t i = 0; i < n; i++) {
		write_number(room, arguments, &at, "", changes[i].player_id);
		write_number(room, arguments, &at, "", changes[i].due_us);
		write_number(room, arguments, &at, "", changes[i].energy);
	}
	kv_queue_script(kv, &change_script, 1 + n, at, arguments, NULL);
	if (kv_sync(kv, &answers, err))
		return -1;
	return kv_check(&answers, err);
}

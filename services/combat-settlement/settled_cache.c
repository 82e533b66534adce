#include "settled_cache.h"

#include <stdio.h>
#include <string.h>

#include "combat_keys.h"
#include "combat_settings.h"
#include "common/text.h"
#include "fight_fences.h"

/*
 * KEYS: tombstone, live session, its older spelling, negative answer, dirty_accounts, then ac:{id} of each participant.
 * ARGV: tombstone text, its ttl in ms, 1 for a replay, session, end in seconds; then for each participant: id, 1 if the database
 * knows no newer fight of it, hp or -1, energy or -1, a session known to be older or "".
 *
 * last_combat_at, a field of this service's own, is "<end> <session>": it dates last_combat_session_id as long as it names the same
 * session. A context restored from the database has none; then the answer for that participant names the undated session.
 *
 * Answer: 0 when no context needed anything, or a list: for each participant "0", or "1" when the state must be backed up, and the
 * undated session.
 */
static const struct kv_script bring_in_line = {
	.name = "settled",
	.lua = "local session, ended = ARGV[4], tonumber(ARGV[5])\n"
	       "local answer, said = {}, false\n"
	       "if ARGV[3] == '1' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')\n"
	       "else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end\n"
	       "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
	       "local function with_vitals(text, hp, energy)\n"
	       "  local ok, vitals = pcall(cjson.decode, text or '')\n"
	       "  if not ok or type(vitals) ~= 'table' then return nil end\n"
	       "  for name, cur in pairs({hp = hp, energy = energy}) do\n"
	       "    local gauge = vitals[name]\n"
	       "    if cur >= 0 and type(gauge) == 'table' then\n"
	       "      gauge.cur = math.min(cur, tonumber(gauge.max) or cur)\n"
	       "    end\n"
	       "  end\n"
	       "  return cjson.encode(vitals)\n"
	       "end\n"
	       "local function is_older(last, dated, known_older)\n"
	       "  if not last or last == '' or last == known_older then return true end\n"
	       "  local at, named = string.match(dated or '', '^(%d+) (.+)$')\n"
	       "  if named ~= last then return nil end\n"
	       "  at = tonumber(at)\n"
	       "  return at < ended or (at == ended and last < session)\n"
	       "end\n"
	       "for i = 6, #KEYS do\n"
	       "  local ac, a = KEYS[i], 6 + (i - 6) * 5\n"
	       "  local id, newest = ARGV[a], ARGV[a + 1] == '1'\n"
	       "  local h = redis.pcall('HMGET', ac, 'state', 'combat_session_id', 'last_combat_session_id', "
	       "'last_combat_at', "
	       "'vitals')\n"
	       "  local text = '0'\n"
	       "  if not h.err and (h[1] or h[2] or h[3] or h[5]) then\n"
	       "    local changed, state, current = false, h[1], h[2]\n"
	       "    local idle = false\n"
	       "    if current == session then\n"
	       "      redis.call('HDEL', ac, 'combat_session_id')\n"
	       "      changed, idle = true, state == 'combat'\n"
	       "    elseif not current or current == '' then\n"
	       "      idle = state == 'combat' and newest and h[3] ~= session\n"
	       "    end\n"
	       "    if newest and h[3] ~= session then\n"
	       "      local older = is_older(h[3], h[4], ARGV[a + 4])\n"
	       "      if older then\n"
	       "        redis.call('HSET', ac, 'last_combat_session_id', session, 'last_combat_at', ARGV[5] .. ' ' .. "
	       "session)\n"
	       "        local vitals = with_vitals(h[5], tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]))\n"
	       "        if vitals then redis.call('HSET', ac, 'vitals', vitals) end\n"
	       "        changed = true\n"
	       "      elseif older == nil then\n"
	       "        idle = idle and current == session\n"
	       "        text = '0' .. h[3]\n"
	       "      else\n"
	       "        idle = idle and current == session\n"
	       "      end\n"
	       "    end\n"
	       "    if idle then\n"
	       "      redis.call('HSET', ac, 'state', 'idle')\n"
	       "      changed = true\n"
	       "    end\n"
	       "    if changed then redis.call('SADD', KEYS[5], id) end\n"
	       "    if idle or (ARGV[3] == '1' and redis.call('SISMEMBER', KEYS[5], id) == 1) then\n"
	       "      text = '1' .. string.sub(text, 2)\n"
	       "    end\n"
	       "  end\n"
	       "  answer[#answer + 1] = text\n"
	       "  said = said or text ~= '0'\n"
	       "end\n"
	       "return said and answer or 0\n",
};

#define FIXED_KEYS 5
#define FIXED_ARGUMENTS 5
#define ARGUMENTS_EACH 5

/* What each participant's context calls its last fight where the script could not date it; "" elsewhere. */
struct undated {
	const char **sessions;
};

static uint64_t bit(size_t i)
{
	return (uint64_t)1 << i;
}

static void number_text(struct scratch *scratch, const char **to, int64_t number)
{
	*to = scratch_printf(scratch, "%lld", (long long)number);
}

/* The arguments of one participant. */
static void add_participant(const struct settled_fight *settled, size_t i, const struct undated *known_older,
	const char **arguments, struct scratch *scratch)
{
	const struct participant *participant = document_participant(settled->fight->document, i);
	const struct state_snapshot *snapshot = &participant->state_snapshot;
	int64_t hp = snapshot->hp.value < 0 ? 0 : snapshot->hp.value;
	int64_t energy = snapshot->energy.value < 0 ? 0 : snapshot->energy.value;

	number_text(scratch, &arguments[0], participant->char_id);
	arguments[1] = settled->fight->newest & bit(i) ? "1" : "0";
	number_text(scratch, &arguments[2], snapshot->hp.set ? hp : -1);
	number_text(scratch, &arguments[3], snapshot->energy.set ? energy : -1);
	arguments[4] = known_older ? known_older->sessions[i] : "";
}

/* scratch is for the call's arguments only, which kv_queue_script() copies: it is reset here. */
static void queue_fight(
	struct kv *kv, const struct settled_fight *settled, const struct undated *known_older, struct scratch *scratch)
{
	static const char *const prefixes[] = { KEY_TOMBSTONE, KEY_SESSION, KEY_OLD_SESSION, KEY_UNKNOWN };
	const struct result_document *document = settled->fight->document;
	size_t n_people = document->participants.n, n_keys = FIXED_KEYS + n_people;
	size_t n = n_keys + FIXED_ARGUMENTS + n_people * ARGUMENTS_EACH;
	const char **arguments = scratch_array(scratch, n, sizeof(*arguments));
	size_t *lens = scratch_array(scratch, n, sizeof(*lens));
	char session[UUID_TEXT_MAX];

	uuid_format(&document->session_id, session);
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		arguments[i] = scratch_printf(scratch, "%s%s", prefixes[i], session);
	arguments[FIXED_KEYS - 1] = KEY_DIRTY;
	arguments[n_keys] = settled->tombstone;
	number_text(scratch, &arguments[n_keys + 1], combat_settings.tombstone_ttl_ms);
	arguments[n_keys + 2] = settled->fight->state == FIGHT_REPLAYED ? "1" : "0";
	arguments[n_keys + 3] = session;
	number_text(scratch, &arguments[n_keys + 4], document->meta.end_timestamp);
	for (size_t i = 0; i < n_people; i++) {
		arguments[FIXED_KEYS + i] = scratch_printf(
			scratch, KEY_CHARACTER "%lld", (long long)document_participant(document, i)->char_id);
		add_participant(
			settled, i, known_older, arguments + n_keys + FIXED_ARGUMENTS + i * ARGUMENTS_EACH, scratch);
	}
	for (size_t i = 0; i < n; i++)
		lens[i] = i == n_keys ? settled->tombstone_len : strlen(arguments[i]);
	kv_queue_script(kv, &bring_in_line, n_keys, n, arguments, lens);
	scratch_reset(scratch);
}

/* Reads one fight's answer; returns what remains undated, NULL when nothing does. */
static struct undated *read_answer(
	struct settled_fight *settled, const struct kv_answer *answer, struct scratch *scratch)
{
	struct undated *undated = NULL;
	size_t n = settled->fight->document->participants.n;

	if (kv_kind(answer) == KV_ERROR) {
		struct error error;

		error_set(&error, CODE_INTERNAL, "Redis: %s", kv_string(answer, NULL));
		settled->error = (struct error *)scratch_memdup(scratch, (const char *)&error, sizeof(error));
		return NULL;
	}
	for (size_t i = 0; i < kv_length(answer); i++) {
		const char *text = kv_string(kv_item(answer, i), NULL);

		if (text[0] == '1')
			settled->state_changed |= bit(i);
		if (!text[1])
			continue;
		if (!undated) {
			undated = scratch_alloc(scratch, sizeof(*undated));
			undated->sessions = scratch_array(scratch, n, sizeof(*undated->sessions));
			for (size_t k = 0; k < n; k++)
				undated->sessions[k] = "";
		}
		undated->sessions[i] = scratch_strdup(scratch, text + 1);
	}
	return undated;
}

/*
 * The context was restored from the database, or written by another program: whose last fight it names, and when that was, only the
 * database knows. A fight that is still its participant's newest there is newer than whatever the context names, and the script
 * changes the context only while it still names that.
 */
static int write_undated(struct kv *kv, struct pg *pg, struct settled_fight **fights, struct undated **undated,
	size_t n, struct scratch *scratch, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct fight **asked = scratch_array(scratch, n, sizeof(*asked));
	struct scratch line CLEANUP(scratch_release);

	for (size_t i = 0; i < n; i++)
		asked[i] = fights[i]->fight;
	if (fences_find(pg, asked, n, scratch, err))
		return -1;
	scratch_init(&line, SIZE_MAX);
	for (size_t i = 0; i < n; i++)
		queue_fight(kv, fights[i], undated[i], &line);
	if (kv_sync(kv, &answers, err))
		return -1;
	/* A context that has changed again in between belongs to a newer fight, or its settlement comes here again. */
	for (size_t i = 0; i < n; i++)
		read_answer(fights[i], kv_at(&answers, i), scratch);
	return 0;
}

int settled_cache_write(struct kv *kv, struct pg *pg, struct settled_fight *fights, size_t n, struct scratch *scratch,
	struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct settled_fight **again = scratch_array(scratch, n, sizeof(*again));
	struct undated **undated = scratch_array(scratch, n, sizeof(*undated));
	struct scratch line CLEANUP(scratch_release);
	size_t n_again = 0;

	scratch_init(&line, SIZE_MAX);
	for (size_t i = 0; i < n; i++)
		queue_fight(kv, &fights[i], NULL, &line);
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < n; i++) {
		undated[n_again] = read_answer(&fights[i], kv_at(&answers, i), scratch);
		if (undated[n_again])
			again[n_again++] = &fights[i];
	}
	return n_again ? write_undated(kv, pg, again, undated, n_again, scratch, err) : 0;
}

void settled_cache_forget_unknown(struct kv *kv, const struct uuid *sessions, size_t n)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	struct error err;

	for (size_t i = 0; i < n; i++) {
		char session[UUID_TEXT_MAX];

		kv_queue(kv, "DEL " KEY_UNKNOWN "%s", uuid_format(&sessions[i], session));
	}
	/* Without Redis the answer grows old by itself. */
	(void)kv_sync(kv, &answers, &err);
}

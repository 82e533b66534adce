#include "settled_cache.h"

#include <stdio.h>
#include <string.h>

#include "combat_keys.h"
#include "combat_settings.h"
#include "common/text.h"
#include "fight_fences.h"

/*
 * KEYS: tombstone, live session, its older spelling, negative answer, dirty_accounts, then ac:{id} of each participant.
 * ARGV: tombstone text, its ttl in ms, 1 for a replay, session, end in seconds; then for each participant: id, three digits that
 * say of what the database knows no newer fight (last, hp, energy), hp, energy, a last fight that was asked about already, or "",
 * and the database's vitals: what a context does not have of them is the database's.
 *
 * Three fields of this service's own, "<end> <session>" each, say which fight set the last fight, hp and energy of a context. One
 * that was restored from the database has none. If it names this fight as its last, it was made with all this fight did; if it
 * names none, without; otherwise only the database can tell: the answer for that participant names the context's last fight, and what
 * this fight sets waits, all of it.
 *
 * Answer: 0 when no context needed anything, or a list: for each participant "0", or "1" when the state must be backed up, and
 * behind that the last fight to ask about.
 */
static const struct kv_script bring_in_line = {
	.name = "settled",
	.lua = "if ARGV[3] == '1' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX')\n"
	       "else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end\n"
	       "redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])\n"
	       "if redis.call('EXISTS', unpack(KEYS, 6)) == 0 then return 0 end\n"
	       "local session, ended = ARGV[4], tonumber(ARGV[5])\n"
	       "local stamp = ARGV[5] .. ' ' .. session\n"
	       "local function judge(stamped, last, asked)\n"
	       "  local at, by = string.match(stamped or '', '^(%d+) (.+)$')\n"
	       "  if at then\n"
	       "    at = tonumber(at)\n"
	       "    return (at < ended or (at == ended and by < session)) and 'set' or 'keep'\n"
	       "  end\n"
	       "  if not last or last == '' or last == asked then return 'set' end\n"
	       "  return last == session and 'keep' or 'ask'\n"
	       "end\n"
	       "local function with_vitals(text, stored, hp, energy)\n"
	       "  local ok, vitals = pcall(cjson.decode, text or stored)\n"
	       "  if not ok or type(vitals) ~= 'table' then return nil end\n"
	       "  for name, cur in pairs({hp = hp, energy = energy}) do\n"
	       "    if type(vitals[name]) ~= 'table' then\n"
	       "      local known = cjson.decode(stored)\n"
	       "      vitals[name] = type(known) == 'table' and known[name] or nil\n"
	       "    end\n"
	       "    local gauge = vitals[name]\n"
	       "    if type(gauge) == 'table' then gauge.cur = math.min(cur, tonumber(gauge.max) or cur) end\n"
	       "  end\n"
	       "  local written, json = pcall(cjson.encode, vitals)\n"
	       "  return next(vitals) and written and json or nil\n"
	       "end\n"
	       "local function bring_in_line(ac, h, newest, values, asked)\n"
	       "  local state, current, last, vitals = h[1], h[2], h[3], h[7]\n"
	       "  if last and not string.match(last, '^[%x-]+$') then last = '' end\n"
	       "  local named = string.match(h[4] or '', ' (.+)$')\n"
	       "  local stamps = {named == last and h[4] or nil, h[5], h[6]}\n"
	       "  local verdicts, ask, changed = {}, false, false\n"
	       "  for k = 1, 3 do\n"
	       "    verdicts[k] = string.sub(newest, k, k) == '1' and judge(stamps[k], last, asked) or 'keep'\n"
	       "    ask = ask or verdicts[k] == 'ask'\n"
	       "  end\n"
	       "  if ask then verdicts = {} end\n"
	       "  local idle = state == 'combat' and\n"
	       "    (current == session or ((not current or current == '') and verdicts[1] == 'set'))\n"
	       "  if current == session then redis.call('HDEL', ac, 'combat_session_id'); changed = true end\n"
	       "  local cur = {}\n"
	       "  for k, name in pairs({[2] = 'hp', [3] = 'energy'}) do\n"
	       "    if verdicts[k] == 'set' then\n"
	       "      cur[name] = tonumber(values[k])\n"
	       "      redis.call('HSET', ac, name .. '_set_by', stamp)\n"
	       "      changed = true\n"
	       "    end\n"
	       "  end\n"
	       "  vitals = next(cur) and with_vitals(vitals, values[4], cur.hp, cur.energy)\n"
	       "  if vitals then redis.call('HSET', ac, 'vitals', vitals) end\n"
	       "  if verdicts[1] == 'set' then\n"
	       "    redis.call('HSET', ac, 'last_combat_session_id', session, 'last_combat_set_by', stamp)\n"
	       "    changed = true\n"
	       "  end\n"
	       "  if idle then redis.call('HSET', ac, 'state', 'idle'); changed = true end\n"
	       "  return changed, idle, ask and last or ''\n"
	       "end\n"
	       "local answer, said = {}, false\n"
	       "for i = 6, #KEYS do\n"
	       "  local a = 6 + (i - 6) * 6\n"
	       "  local h = redis.pcall('HMGET', KEYS[i], 'state', 'combat_session_id', 'last_combat_session_id',\n"
	       "    'last_combat_set_by', 'hp_set_by', 'energy_set_by', 'vitals')\n"
	       "  local text = '0'\n"
	       "  if not h.err and (h[1] or h[2] or h[3] or h[7] or redis.call('EXISTS', KEYS[i]) == 1) then\n"
	       "    local changed, idle, ask =\n"
	       "      bring_in_line(KEYS[i], h, ARGV[a + 1], {0, ARGV[a + 2], ARGV[a + 3], ARGV[a + 5]}, ARGV[a + 4])\n"
	       "    if changed then redis.call('SADD', KEYS[5], ARGV[a]) end\n"
	       "    local unsaved = ARGV[3] == '1' and redis.call('SISMEMBER', KEYS[5], ARGV[a]) == 1\n"
	       "    text = ((idle or unsaved) and '1' or '0') .. ask\n"
	       "  end\n"
	       "  answer[#answer + 1] = text\n"
	       "  said = said or text ~= '0'\n"
	       "end\n"
	       "return said and answer or 0\n",
};

/* The first, and as many repeats while others change the same contexts. */
#define ROUNDS_MAX 8

#define FIXED_KEYS 5
#define FIXED_ARGUMENTS 5
#define ARGUMENTS_EACH 6

/* What each participant's context calls its last fight where the database has to be asked; "" elsewhere. */
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
static void add_participant(const struct settled_fight *settled, size_t i, const struct undated *asked,
	const char **arguments, struct scratch *scratch)
{
	const struct participant *participant = document_participant(settled->fight->document, i);
	const struct state_snapshot *snapshot = &participant->state_snapshot;
	const uint64_t *newest = settled->fight->newest;

	number_text(scratch, &arguments[0], participant->char_id);
	arguments[1] = scratch_printf(scratch, "%d%d%d", (newest[ASPECT_LAST] & bit(i)) != 0,
		(newest[ASPECT_HP] & bit(i)) != 0, (newest[ASPECT_ENERGY] & bit(i)) != 0);
	number_text(scratch, &arguments[2], snapshot->hp.value < 0 ? 0 : snapshot->hp.value);
	number_text(scratch, &arguments[3], snapshot->energy.value < 0 ? 0 : snapshot->energy.value);
	arguments[4] = asked ? asked->sessions[i] : "";
	arguments[5] = settled->fight->vitals[i];
}

/* scratch is for the call's arguments only, which kv_queue_script() copies: it is reset here. */
static void queue_fight(
	struct kv *kv, const struct settled_fight *settled, const struct undated *asked, struct scratch *scratch)
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
		add_participant(settled, i, asked, arguments + n_keys + FIXED_ARGUMENTS + i * ARGUMENTS_EACH, scratch);
	}
	for (size_t i = 0; i < n; i++)
		lens[i] = i == n_keys ? settled->tombstone_len : strlen(arguments[i]);
	kv_queue_script(kv, &bring_in_line, n_keys, n, arguments, lens);
	scratch_reset(scratch);
}

/* Reads one fight's answer; returns what the database must be asked, NULL when nothing does. */
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

/* Fights still to be written, and what their contexts named when the database was asked. */
struct round {
	struct settled_fight **fights;
	struct undated **asked; /* NULL elements: nothing was asked */
	size_t n;
};

/* Writes them all, and keeps in the round those for which the database must be asked. */
static int write_round(struct kv *kv, struct round *round, struct scratch *scratch, struct error *err)
{
	CLEANUP(kv_answers_release) struct kv_answers answers = { 0 };
	CLEANUP(scratch_release) struct scratch line = { .cap = SIZE_MAX };
	size_t kept = 0;

	for (size_t i = 0; i < round->n; i++)
		queue_fight(kv, round->fights[i], round->asked[i], &line);
	if (kv_sync(kv, &answers, err))
		return -1;
	for (size_t i = 0; i < round->n; i++) {
		struct undated *undated = read_answer(round->fights[i], kv_at(&answers, i), scratch);

		if (!undated)
			continue;
		round->asked[kept] = undated;
		round->fights[kept++] = round->fights[i];
	}
	round->n = kept;
	return 0;
}

/*
 * These contexts were restored from the database, or written by another program. What a fight is still the newest to have set there
 * is newer than what such a context holds; the script sets it only while the context names the same last fight.
 */
static int ask_database(struct pg *pg, const struct round *round, struct scratch *scratch, struct error *err)
{
	struct fight **fights = scratch_array(scratch, round->n, sizeof(*fights));

	for (size_t i = 0; i < round->n; i++)
		fights[i] = round->fights[i]->fight;
	return fences_find(pg, fights, round->n, scratch, err);
}

/* Contexts that change faster than they can be asked about: the fight comes again. */
static void give_up(const struct round *round, struct scratch *scratch)
{
	struct error error;

	error_set(&error, CODE_UNAVAILABLE, "the participants' contexts keep changing");
	for (size_t i = 0; i < round->n; i++)
		round->fights[i]->error = (struct error *)scratch_memdup(scratch, (const char *)&error, sizeof(error));
}

int settled_cache_write(struct kv *kv, struct pg *pg, struct settled_fight *fights, size_t n, struct scratch *scratch,
	struct error *err)
{
	struct round round = {
		.fights = scratch_array(scratch, n, sizeof(*round.fights)),
		.asked = scratch_array(scratch, n, sizeof(*round.asked)),
		.n = n,
	};

	for (size_t i = 0; i < n; i++)
		round.fights[i] = &fights[i];
	for (int turn = 0; turn < ROUNDS_MAX; turn++) {
		if (turn > 0 && ask_database(pg, &round, scratch, err))
			return -1;
		if (write_round(kv, &round, scratch, err))
			return -1;
		if (round.n == 0)
			return 0;
	}
	give_up(&round, scratch);
	return 0;
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

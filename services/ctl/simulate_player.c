/* What a player does next; his own numbers decide. Pure but for the clock. */
#include "simulate.h"

#include "clock.h"

#define AGAIN_MIN_MS 100
#define AGAIN_MAX_MS 400

static const char *const syllables[] = { "ar", "bel", "cor", "da", "el", "fin", "gor", "hal", "is", "ka", "lo", "mir",
	"na", "or", "pel", "ra", "sef", "tor", "ul", "var", "wen", "yr", "zan" };
static const char *const genders[] = { "male", "female", "other" };

static void make_name(struct player *player)
{
	int64_t n = chance_between(&player->chance, 2, 3);
	size_t len = 0;

	for (int64_t i = 0; i < n; i++)
		len += (size_t)snprintf(player->name + len, sizeof(player->name) - len, "%s",
			syllables[chance(&player->chance) % ARRAY_LEN(syllables)]);
	player->name[0] = (char)(player->name[0] - 'a' + 'A');
	player->gender = genders[chance(&player->chance) % ARRAY_LEN(genders)];
}

void player_init(struct player *player, uint64_t seed, size_t index)
{
	struct uuid key;

	*player = (struct player){ .chance = seed * 0x2545f4914f6cdd1dU + index, .mode = "1v1" };
	chance(&player->chance);
	snprintf(player->login, sizeof(player->login), "crowd-%llu-%zu", (unsigned long long)seed, index);
	snprintf(player->password, sizeof(player->password), "%016llx", (unsigned long long)chance(&player->chance));
	for (size_t i = 0; i < sizeof(key.bytes); i++)
		key.bytes[i] = (unsigned char)chance(&player->chance);
	uuid_format(&key, player->character_key);
	make_name(player);
}

void player_release(struct player *player)
{
	free(player->access_token);
	free(player->refresh_token);
	curl_easy_cleanup(player->easy);
	curl_slist_free_all(player->headers);
	text_release(&player->request);
	text_release(&player->answer);
}

static bool ask_again_soon(struct player *player)
{
	player->due_ms = clock_ms() + chance_between(&player->chance, AGAIN_MIN_MS, AGAIN_MAX_MS);
	return false;
}

/* While the fight lasts there is little to do; then he presses the button until he sees what came of it. */
static bool next_in_fight(struct player *player, bool leaving, enum sim_call *call)
{
	if (player->fight->stage == FIGHT_CONFIRMED) {
		player->asked = player->fight;
		*call = CALL_RESULT;
		return true;
	}
	if (leaving || !chance_of(&player->chance, 20))
		return ask_again_soon(player);
	*call = CALL_STATUS;
	return true;
}

static enum sim_call next_in_queue(struct player *player)
{
	int64_t roll = chance_between(&player->chance, 1, 100);

	return roll <= 75 ? CALL_CHECK : roll <= 85 ? CALL_QUEUE : roll <= 90 ? CALL_CANCEL : CALL_STATUS;
}

static enum sim_call next_at_leisure(struct player *player)
{
	int64_t roll = chance_between(&player->chance, 1, 100);

	if (roll <= 45) {
		player->mode = chance_of(&player->chance, 80) ? "1v1" : "ranked";
		return CALL_JOIN;
	}
	if (roll <= 63)
		return player->has_session ? CALL_STATUS : CALL_START;
	if (roll <= 66)
		return player->has_session ? CALL_DELETE : CALL_START;
	if (roll <= 82 && player->n_past) {
		player->asked = player->past[chance(&player->chance) % player->n_past];
		return CALL_STALE;
	}
	if (roll <= 86)
		return CALL_UNKNOWN;
	if (roll <= 96)
		return CALL_LAST;
	return roll <= 98 ? CALL_QUEUE : CALL_LOGOUT;
}

static bool next_in_play(struct player *player, bool leaving, enum sim_call *call)
{
	if (player->fight)
		return next_in_fight(player, leaving, call);
	if (leaving)
		*call = player->is_queued ? CALL_CANCEL : CALL_LOGOUT;
	else
		*call = player->is_queued ? next_in_queue(player) : next_at_leisure(player);
	return true;
}

bool player_next(struct player *player, bool leaving, enum sim_call *call)
{
	player->asked = NULL;
	if (leaving && !player->access_token)
		player->stage = PLAYER_GONE;
	switch (player->stage) {
	case PLAYER_NEW:
		*call = CALL_REGISTER;
		return true;
	case PLAYER_REGISTERED:
		*call = CALL_LOGIN;
		return true;
	case PLAYER_NAMELESS:
		*call = leaving ? CALL_LOGOUT : CALL_CREATE;
		return true;
	case PLAYER_CREATED:
		*call = leaving ? CALL_LOGOUT : CALL_REFRESH;
		return true;
	case PLAYER_PLAYING:
		return next_in_play(player, leaving, call);
	case PLAYER_GONE:
		break;
	}
	return false;
}

#include <math.h>

#include "simulate.h"

#include "clock.h"

#define ANSWER_SCRATCH ((size_t)16 << 20)
/* The broker has the fight; so soon it must be settled, or somebody is late. */
#define SETTLED_WITHIN_US 30000000

static const cJSON *member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *string_of(const cJSON *object, const char *name)
{
	const cJSON *value = member(object, name);

	return cJSON_IsString(value) ? value->valuestring : "";
}

static int64_t number_of(const cJSON *object, const char *name)
{
	const cJSON *value = member(object, name);

	return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : 0;
}

static void keep_tokens(struct player *player, const cJSON *answer)
{
	free(player->access_token);
	free(player->refresh_token);
	player->access_token = must_strdup(string_of(answer, "access_token"));
	player->refresh_token = must_strdup(string_of(answer, "refresh_token"));
}

static void drop_tokens(struct player *player)
{
	free(player->access_token);
	free(player->refresh_token);
	player->access_token = player->refresh_token = NULL;
	player->stage = PLAYER_REGISTERED;
}

static void take_login(struct player *player, const cJSON *answer)
{
	const cJSON *first = cJSON_GetArrayItem(member(answer, "characters"), 0);

	keep_tokens(player, answer);
	player->char_id = number_of(answer, "char_id");
	player->stage = player->char_id ? PLAYER_PLAYING : PLAYER_NAMELESS;
	if (!player->char_id && first) {
		player->char_id = number_of(first, "char_id");
		player->stage = PLAYER_CREATED;
	}
}

/* ---- the arena ---- */

static bool is_past(const struct player *player, const struct uuid *session_id)
{
	for (size_t i = 0; i < player->n_past; i++)
		if (uuid_compare(&player->past[i]->session_id, session_id) == 0)
			return true;
	return false;
}

static void take_battle(struct simulation *simulation, struct player *player, const cJSON *battle)
{
	const cJSON *participants = member(battle, "participants");
	const int64_t char_ids[2] = { number_of(cJSON_GetArrayItem(participants, 0), "char_id"),
		number_of(cJSON_GetArrayItem(participants, 1), "char_id") };
	struct uuid session_id;
	int64_t matched_us;

	if (uuid_parse(string_of(battle, "session_id"), &session_id) ||
		clock_parse(string_of(battle, "matched_at"), &matched_us) ||
		(char_ids[0] != player->char_id && char_ids[1] != player->char_id)) {
		stats_wrong(&simulation->stats, "check match of character %lld: a battle that is not his",
			(long long)player->char_id);
		return;
	}
	/* A battle that is over can still be read. */
	if (!is_past(player, &session_id))
		player->fight = engine_fight(&simulation->engine, &session_id, char_ids, matched_us);
}

static void take_check(struct simulation *simulation, struct player *player, const cJSON *answer)
{
	const char *status = string_of(answer, "status");

	player->is_queued = strcmp(status, "waiting") == 0;
	if (strcmp(status, "matched") == 0)
		take_battle(simulation, player, member(answer, "battle"));
	else if (strcmp(status, "none") == 0) /* perhaps he waits in the other mode */
		player->mode = strcmp(player->mode, "1v1") == 0 ? "ranked" : "1v1";
}

/* ---- fights ---- */

static void check_result(
	struct simulation *simulation, const struct player *player, const struct sim_fight *fight, const cJSON *answer)
{
	const struct sim_share *share = &fight->shares[fight->shares[0].char_id == player->char_id ? 0 : 1];
	const cJSON *result = member(answer, "result"), *items = member(result, "items_gained");
	char session[UUID_TEXT_MAX];

	if (number_of(result, "xp_gained") == share->xp && number_of(result, "gold_gained") == share->gold &&
		cJSON_IsTrue(member(result, "is_winner")) == share->is_winner &&
		cJSON_GetArraySize(items) == (share->item != NULL) &&
		number_of(cJSON_GetArrayItem(items, 0), "qty") == share->qty)
		return;
	stats_wrong(&simulation->stats, "result of fight %s for character %lld is not what the engine told",
		uuid_format(&fight->session_id, session), (long long)player->char_id);
}

static void end_fight(struct simulation *simulation, struct player *player)
{
	struct sim_fight *fight = player->fight;

	if (!fight->seen)
		histogram_add(&simulation->stats.settle, clock_us() - fight->first_sent_us);
	fight->seen = true;
	player->fight = NULL;
	if (player->n_past == PAST_FIGHTS)
		memmove(player->past, player->past + 1, --player->n_past * sizeof(struct sim_fight *));
	player->past[player->n_past++] = fight;
}

static void take_result(struct simulation *simulation, struct player *player, long status, const cJSON *answer)
{
	struct sim_fight *fight = player->asked;

	if (status == 200 && strcmp(string_of(answer, "status"), "finished") == 0) {
		check_result(simulation, player, fight, answer);
		if (player->call == CALL_RESULT)
			end_fight(simulation, player);
	} else if (player->call == CALL_STALE || clock_us() - fight->first_sent_us > SETTLED_WITHIN_US) {
		stats_error(&simulation->stats, sim_routes[player->call].name, "not finished");
		if (player->call == CALL_RESULT)
			player->fight = NULL; /* nobody presses for ever */
	}
}

/* ---- every answer ---- */

/* The statuses that a call may be answered with, when all is well. */
static bool is_expected(const struct player *player, long status)
{
	switch (player->call) {
	case CALL_REGISTER: /* the same crowd may have been here before */
		return status == 201 || status == 409;
	case CALL_CREATE:
		return status == 201 || status == 200;
	case CALL_START:
		return status == 201 || status == 200;
	case CALL_JOIN: /* he may be matched already, and not know it */
		return status == 200 || status == 409;
	case CALL_RESULT: /* nobody knows the fight before it is settled */
		return status == 200 || status == 404;
	case CALL_UNKNOWN:
		return status == 404;
	case CALL_LAST:
		return status == 200 || (status == 404 && !player->n_past);
	default:
		return status == 200;
	}
}

static void take(struct simulation *simulation, struct player *player, long status, const cJSON *answer)
{
	switch (player->call) {
	case CALL_REGISTER:
		player->stage = PLAYER_REGISTERED;
		break;
	case CALL_LOGIN:
		take_login(player, answer);
		break;
	case CALL_CREATE:
		player->char_id = number_of(answer, "char_id");
		player->stage = PLAYER_CREATED;
		break;
	case CALL_REFRESH:
		keep_tokens(player, answer);
		player->stage = PLAYER_PLAYING;
		break;
	case CALL_START:
	case CALL_STATUS:
		player->has_session = cJSON_IsObject(member(answer, "session"));
		break;
	case CALL_DELETE:
		player->has_session = false;
		break;
	case CALL_JOIN:
		player->is_queued = true;
		break;
	case CALL_CHECK:
		take_check(simulation, player, answer);
		break;
	case CALL_CANCEL:
		player->is_queued = !cJSON_IsTrue(member(answer, "left")) && !simulation->leaving;
		break;
	case CALL_RESULT:
	case CALL_STALE:
		take_result(simulation, player, status, answer);
		break;
	case CALL_LOGOUT:
		drop_tokens(player);
		break;
	default:
		break;
	}
}

static void refuse(struct simulation *simulation, struct player *player, long status, const cJSON *answer)
{
	char code[24];

	snprintf(code, sizeof(code), "%s", string_of(answer, "code"));
	if (!status)
		snprintf(code, sizeof(code), "no answer");
	else if (!*code)
		snprintf(code, sizeof(code), "HTTP %ld", status);
	stats_error(&simulation->stats, sim_routes[player->call].name, code);
	if (status == 401)
		drop_tokens(player);
}

/* So that all players together make so many calls a second; who has something to wait for does not think. */
static int64_t think_ms(const struct simulation *simulation, struct player *player, bool refused)
{
	double mean_ms = 1000.0 * (double)simulation->n / (double)simulation->options->rate;
	double drawn = (double)(chance(&player->chance) >> 11) / (double)(UINT64_C(1) << 53);

	if (player->stage != PLAYER_PLAYING || simulation->leaving)
		return refused ? chance_between(&player->chance, 200, 1000) : 0;
	if (player->fight && player->fight->stage == FIGHT_CONFIRMED)
		return chance_between(&player->chance, 50, 200);
	return (int64_t)(-log(1 - drawn) * mean_ms);
}

void player_take(struct simulation *simulation, struct player *player, long status)
{
	CLEANUP(scratch_release) struct scratch scratch;
	struct error wrong;

	scratch_init(&scratch, ANSWER_SCRATCH);
	const cJSON *answer = player->answer.len
				      ? json_parse(player->answer.bytes, player->answer.len, &scratch, &wrong)
				      : NULL;
	bool expected = is_expected(player, status);

	if (status && !answer)
		stats_wrong(&simulation->stats, "%s: HTTP %ld with a body that is not JSON",
			sim_routes[player->call].name, status);
	else if (expected)
		take(simulation, player, status, answer);
	else
		refuse(simulation, player, status, answer);
	player->due_ms = clock_ms() + think_ms(simulation, player, !expected);
}

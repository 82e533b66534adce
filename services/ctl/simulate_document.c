/*
 * What comes of a fight follows from its session id alone, so that two engines, or one that has forgotten, tell the same. Pure: no I/O.
 */
#include <string.h>

#include "simulate.h"

#define FIGHT_MIN_US 1500000
#define FIGHT_MAX_US 5000000

static const char *const spoils[] = { "pelt_wolf", "pelt_fox", "ore_iron", "herb_sage", "potion_hp_small",
	"silk_bolt" };

static uint64_t chance_of_session(const struct uuid *session_id)
{
	uint64_t state;

	memcpy(&state, session_id->bytes, sizeof(state));
	return state;
}

void fight_decide(struct sim_fight *fight, const struct uuid *session_id, const int64_t char_ids[2], int64_t matched_us)
{
	uint64_t state = chance_of_session(session_id);
	size_t winner = chance(&state) & 1;

	*fight = (struct sim_fight){ .session_id = *session_id };
	fight->ends_real_us = matched_us + chance_between(&state, FIGHT_MIN_US, FIGHT_MAX_US);
	fight->twice = chance_of(&state, 5);
	for (size_t i = 0; i < 2; i++) {
		struct sim_share *share = &fight->shares[i];

		share->char_id = char_ids[i];
		share->is_winner = i == winner;
		share->xp = share->is_winner ? chance_between(&state, 50, 150) : chance_between(&state, 5, 20);
		share->gold = share->is_winner ? chance_between(&state, 10, 60) : 0;
		if (share->is_winner && chance_of(&state, 40)) {
			share->item = spoils[chance(&state) % ARRAY_LEN(spoils)];
			share->qty = chance_between(&state, 1, 3);
		}
	}
}

static void write_item(const struct sim_share *share, struct text *out)
{
	json_open(out, '[');
	if (share->item) {
		json_open(out, '{');
		json_key_string(out, "item_template_id", share->item);
		json_key_int(out, "qty", share->qty);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void write_share(const struct sim_share *share, uint64_t *state, struct text *out)
{
	char key[24];

	snprintf(key, sizeof(key), "%lld", (long long)share->char_id);
	json_key(out, key);
	json_open(out, '{');
	json_key_bool(out, "is_winner", share->is_winner);
	json_key(out, "state_snapshot");
	json_open(out, '{');
	json_key_int(out, "hp", share->is_winner ? chance_between(state, 20, 100) : chance_between(state, 0, 15));
	json_key_int(out, "energy", chance_between(state, 10, 90));
	json_close(out, '}');
	json_key(out, "changes");
	json_open(out, '{');
	json_key_int(out, "xp_gained", share->xp);
	json_key_int(out, "gold_gained", share->gold);
	json_key(out, "items_gained");
	write_item(share, out);
	json_close(out, '}');
	json_key(out, "ui_report");
	json_open(out, '{');
	json_key_int(out, "damage_dealt", chance_between(state, 100, 5000));
	json_close(out, '}');
	json_close(out, '}');
}

void fight_write(const struct sim_fight *fight, struct text *out)
{
	uint64_t state = ~chance_of_session(&fight->session_id);
	char session[UUID_TEXT_MAX];

	json_open(out, '{');
	json_key_string(out, "session_id", uuid_format(&fight->session_id, session));
	json_key(out, "meta");
	json_open(out, '{');
	json_key_int(out, "end_timestamp", fight->ends_real_us / 1000000);
	json_key_string(out, "winner_team", fight->shares[0].is_winner ? "blue" : "red");
	json_key_string(out, "finish_reason", "victory");
	json_close(out, '}');
	json_key(out, "participants");
	json_open(out, '{');
	for (size_t i = 0; i < 2; i++)
		write_share(&fight->shares[i], &state, out);
	json_close(out, '}');
	json_key(out, "replay_log");
	json_open(out, '[');
	json_close(out, ']');
	json_close(out, '}');
}

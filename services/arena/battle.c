#include "battle.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct field participant_fields[] = {
	FIELD(struct battle_participant, char_id, .required = true, .help = "the character"),
	FIELD(struct battle_participant, gear_score, .required = true, .help = "the gear score it was matched by"),
};
static const struct schema participant_schema = SCHEMA(
	struct battle_participant, participant_fields, .name = "battle participant");

static const struct field fields[] = {
	FIELD(struct battle, session_id, .required = true, .help = "the fight's session"),
	FIELD(struct battle, mode, .required = true, .help = "the mode both joined"),
	FIELD(struct battle, participants, .required = true, .of = &participant_schema,
		.help = "the two, the longer waiting first"),
	FIELD(struct battle, matched_at, .required = true, .help = "when they were matched"),
};
const struct schema battle_schema = SCHEMA(struct battle, fields, .name = "battle");

int battle_parse(
	const char *session_id, const char *text, struct scratch *scratch, struct battle *out, struct error *err)
{
	struct battle_participant two[2];
	struct battle battle = { 0 };
	size_t mode_len = strcspn(text, " ");
	int end = 0;

	if (!mode_len || uuid_parse(session_id, &battle.session_id) ||
		sscanf(text + mode_len, " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 "%n",
			&two[0].char_id, &two[0].gear_score, &two[1].char_id, &two[1].gear_score, &battle.matched_at.us,
			&end) != 5 ||
		text[mode_len + (size_t)end])
		return error_set(err, CODE_INTERNAL, "Redis holds no battle in arena:battle:%s: %s", session_id, text);
	battle.mode = scratch_printf(scratch, "%.*s", (int)mode_len, text);
	battle.participants.n = ARRAY_LEN(two);
	battle.participants.items = scratch_memdup(scratch, (const char *)two, sizeof(two));
	*out = battle;
	return 0;
}

int64_t battle_opponent(const struct battle *battle, int64_t char_id)
{
	const struct battle_participant *two = battle->participants.items;

	if (two[0].char_id == char_id)
		return two[1].char_id;
	return two[1].char_id == char_id ? two[0].char_id : 0;
}

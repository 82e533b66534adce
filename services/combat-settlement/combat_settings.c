#include "combat_settings.h"

struct combat_settings combat_settings;

static const struct field fields[] = {
	FIELD(struct combat_settings, tombstone_ttl_ms, .as = "TOMBSTONE_TTL", .unit = UNIT_MS, .preset = "24h",
		.min = 1000, .help = "how long a finished fight is answered from Redis"),
	FIELD(struct combat_settings, unknown_fight_ttl_ms, .as = "UNKNOWN_FIGHT_TTL", .unit = UNIT_MS, .preset = "30s",
		.min = 1, .help = "how long an unknown fight is not looked for in the database again"),
	FIELD(struct combat_settings, participants_max, .as = "FIGHT_PARTICIPANTS_MAX", .preset = "64", .min = 1,
		.max = 64, .help = "participants of one fight"),
	FIELD(struct combat_settings, amount_max, .as = "FIGHT_AMOUNT_MAX", .preset = "1000000000000", .min = 1,
		.max = 1000000000000,
		.help = "largest xp_gained, gold_gained, durability loss or damage of one participant"),
	FIELD(struct combat_settings, quantity_max, .as = "FIGHT_QUANTITY_MAX", .preset = "1000000", .min = 1,
		.max = 1000000, .help = "largest qty of one entry of items"),
};
const struct schema combat_settings_schema = SCHEMA(
	struct combat_settings, fields, .name = "combat-settlement settings");

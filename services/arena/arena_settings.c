#include "arena_settings.h"

#include <string.h>

#include "service.h"

static const struct field mode_fields[] = {
	FIELD(struct arena_mode, name, .as = "", .min = 1, .max = ARENA_MODE_MAX),
};
static const struct schema mode_schema = SCHEMA(struct arena_mode, mode_fields, .name = "arena mode");

static const struct field fields[] = {
	FIELD(struct arena_settings, modes, .as = "ARENA_MODES", .preset = "1v1,ranked", .of = &mode_schema, .min = 1,
		.max = 64, .help = "the modes that can be joined; letters, digits, - and _"),
	FIELD(struct arena_settings, range_percent, .as = "ARENA_RANGE_PERCENT", .preset = "15", .min = 0, .max = 1000,
		.help = "two characters fit when either's gear score lies within so many percent of the other's"),
	FIELD(struct arena_settings, widen_percent, .as = "ARENA_WIDEN", .preset = "off", .unit = UNIT_OFF, .min = 0,
		.max = 1000, .help = "percent by which the range of a waiting character grows each second"),
	FIELD(struct arena_settings, widen_cap_percent, .as = "ARENA_WIDEN_CAP", .preset = "50", .min = 0, .max = 1000,
		.help = "the percentage at which a range stops growing"),
	FIELD(struct arena_settings, default_gear_score, .as = "ARENA_DEFAULT_GEAR_SCORE", .preset = "100", .min = 1,
		.max = 1000000000, .help = "the gear score of a character whose equipment adds up to nothing"),
	FIELD(struct arena_settings, request_ttl_ms, .as = "ARENA_REQUEST_TTL", .preset = "300s", .unit = UNIT_MS,
		.min = 100, .max = 86400000, .help = "how long a request waits before it expires"),
	FIELD(struct arena_settings, battle_ttl_ms, .as = "ARENA_BATTLE_TTL", .preset = "15m", .unit = UNIT_MS,
		.min = 100, .max = 604800000,
		.help = "how long a match is readable and, unless its fight was settled, keeps its players from "
			"joining"),
	FIELD(struct arena_settings, timeout_ttl_ms, .as = "ARENA_TIMEOUT_TTL", .preset = "10m", .unit = UNIT_MS,
		.min = 0, .max = 604800000, .help = "how long after its expiry check_match says timeout of a request"),
	FIELD(struct arena_settings, patience_ms, .as = "ARENA_PATIENCE", .preset = "10s", .unit = UNIT_MS, .min = 0,
		.max = 86400000, .help = "a request that has waited so long is served before nearer ones"),
	FIELD(struct arena_settings, sweep_interval_ms, .as = "ARENA_SWEEP_INTERVAL", .preset = "250ms",
		.unit = UNIT_MS, .min = 10, .max = 60000,
		.help = "how often the workers look for matches among the waiting, end what has expired, and announce"),
	FIELD(struct arena_settings, announce_lease_ms, .as = "ARENA_ANNOUNCE_LEASE", .preset = "30s", .unit = UNIT_MS,
		.min = 1000, .max = 3600000,
		.help = "what a worker took to announce and did not confirm in this time, another announces"),
};
const struct schema arena_settings_schema = SCHEMA(struct arena_settings, fields, .name = "arena settings");
struct arena_settings arena_settings;

int arena_settings_check(struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const struct arena_mode *modes = arena_settings.modes.items;

	for (size_t i = 0; i < arena_settings.modes.n; i++)
		if (modes[i].name[strspn(modes[i].name, allowed)])
			return error_set(err, CODE_INVALID_PAYLOAD,
				"ARENA_MODES: the mode \"%s\" has a character other than letters, digits, - and _",
				modes[i].name);
	return 0;
}

bool arena_mode_known(const char *mode)
{
	const struct arena_mode *modes = arena_settings.modes.items;

	for (size_t i = 0; i < arena_settings.modes.n; i++)
		if (!strcmp(modes[i].name, mode))
			return true;
	return false;
}

int64_t arena_memory_ms(void)
{
	int64_t retries_ms = 60000;

	for (int attempt = 1; attempt < common_settings.max_attempts; attempt++)
		retries_ms += retry_delay_ms(attempt);
	if (retries_ms < arena_settings.battle_ttl_ms)
		retries_ms = arena_settings.battle_ttl_ms;
	return retries_ms < arena_settings.timeout_ttl_ms ? arena_settings.timeout_ttl_ms : retries_ms;
}

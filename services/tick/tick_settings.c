#include "services/tick/tick_settings.h"

#define INTERVAL_MIN_MS 100
#define TEN_YEARS_MS (INT64_C(3650) * 24 * 60 * 60 * 1000)
#define BATCH_MAX 5000	   /* entries: what one transaction may hold up */
#define CATCHUP_LIMIT 1000 /* due times: what one session may draw in one tick */

struct tick_settings tick_settings;

static const char *const off_on[] = { "off", "on" };

static const struct field fields[] = {
	FIELD(struct tick_settings, interval_ms, .as = "TICK_INTERVAL", .unit = UNIT_MS, .min = INTERVAL_MIN_MS,
		.max = TEN_YEARS_MS, .preset = "6m",
		.help = "time between two ticks of a session; a change moves running sessions onto the new grid, "
			"counted from "
			"their start, at their next tick, or at once where that is farther away than the new interval"),
	FIELD(struct tick_settings, batch_size, .as = "TICK_BATCH_SIZE", .min = 1, .max = BATCH_MAX, .preset = "500",
		.help = "due ticks taken from a category's queue and credited in one transaction"),
	FIELD(struct tick_settings, catchup_max, .as = "TICK_CATCHUP_MAX", .min = 1, .max = CATCHUP_LIMIT,
		.preset = "10", .help = "due times credited in one tick when more than one has passed"),
	FIELD(struct tick_settings, events, .as = "TICK_EVENTS", .choices = off_on, .n_choices = ARRAY_LEN(off_on),
		.preset = "off", .help = "publish tick.completed for every batch"),
	FIELD(struct tick_settings, auto_session_max_ms, .as = "AUTO_SESSION_MAX", .unit = UNIT_MS, .max = TEN_YEARS_MS,
		.preset = "0", .help = "age at which a session ends by itself; 0 for never"),
};

const struct schema tick_settings_schema = SCHEMA(struct tick_settings, fields, .name = "tick settings");

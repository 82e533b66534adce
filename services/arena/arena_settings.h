/* The settings of the arena. */
#ifndef GARRISON_ARENA_SETTINGS_H
#define GARRISON_ARENA_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "field.h"

#define ARENA_MODE_MAX 32

struct arena_mode {
	const char *name;
};

/* Read-only after start. */
struct arena_settings {
	struct list modes; /* of struct arena_mode */
	int64_t range_percent;
	int64_t widen_percent; /* a second; 0: off */
	int64_t widen_cap_percent;
	int64_t default_gear_score;
	int64_t request_ttl_ms;
	int64_t battle_ttl_ms;
	int64_t timeout_ttl_ms;
	int64_t patience_ms;
	int64_t sweep_interval_ms;
	int64_t announce_lease_ms;
};
extern struct arena_settings arena_settings;
extern const struct schema arena_settings_schema;

/* Refuses mode names that could not be part of a key. 0/-1. Main thread, after the settings are read. */
int arena_settings_check(struct error *err);
/* True for a mode of ARENA_MODES. Any thread. */
bool arena_mode_known(const char *mode);
/* How long a request that has ended is remembered: past every retry of the commands that belong to it. Any thread. */
int64_t arena_memory_ms(void);

#endif

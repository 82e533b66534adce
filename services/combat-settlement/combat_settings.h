/* What an operator may set for this service, beside what every service has. Read-only after start. */
#ifndef COMBAT_SETTINGS_H
#define COMBAT_SETTINGS_H

#include "common/field.h"

struct combat_settings {
	int64_t tombstone_ttl_ms;
	int64_t unknown_fight_ttl_ms;
	int64_t participants_max;
	int64_t amount_max;
	int64_t quantity_max;
};

extern struct combat_settings combat_settings;
extern const struct schema combat_settings_schema;

#endif

/* The tick service's own settings; read-only after start. */
#ifndef TICK_SETTINGS_H
#define TICK_SETTINGS_H

#include "field.h"

struct tick_settings {
	int64_t interval_ms;
	int64_t batch_size;
	int64_t catchup_max;
	int events;		     /* 0 off, 1 on */
	int64_t auto_session_max_ms; /* 0: no end */
};

extern struct tick_settings tick_settings;
extern const struct schema tick_settings_schema;

#endif

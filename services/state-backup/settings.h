#ifndef STATE_BACKUP_SETTINGS_H
#define STATE_BACKUP_SETTINGS_H

#include "field.h"

/* Read-only after start. */
struct state_backup_settings {
	int64_t interval_ms;
	int64_t batch_size;
};
extern struct state_backup_settings state_backup_settings;
extern const struct schema state_backup_settings_schema;

/* A batch never has more: it is one transaction and one round of Redis. */
#define BATCH_SIZE_MAX 5000

#endif

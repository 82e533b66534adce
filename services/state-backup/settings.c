#include "settings.h"

#include "cleanup.h"

struct state_backup_settings state_backup_settings;

static const struct field fields[] = {
	FIELD(struct state_backup_settings, interval_ms, .as = "BACKUP_INTERVAL", .unit = UNIT_MS, .preset = "5m",
		.min = 10, .max = 86400000, .help = "how often all characters marked in dirty_accounts are backed up"),
	FIELD(struct state_backup_settings, batch_size, .as = "BACKUP_BATCH_SIZE", .preset = "1000", .min = 1,
		.max = BATCH_SIZE_MAX,
		.help = "how many of them a worker saves at a time, in two transactions side by side"),
};
const struct schema state_backup_settings_schema = SCHEMA(
	struct state_backup_settings, fields, .name = "state-backup settings");

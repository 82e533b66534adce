#include "counts.h"

struct metric counts[N_COUNTS] = {
	[COUNT_MARKS_WAITING] = { .name = "backup_marks_waiting",
		.help = "Characters marked and not yet backed up, those set aside not among them",
		.kind = METRIC_GAUGE },
	[COUNT_MARKS_SET_ASIDE] = { .name = "backup_marks_set_aside",
		.help = "Marked characters whose cache could not be read, waiting for their next try",
		.kind = METRIC_GAUGE },
	[COUNT_OLDEST_MARK_AGE] = { .name = "backup_oldest_mark_age_seconds",
		.help = "No mark waits for longer than this: the time since there was none; 0 when none waits",
		.kind = METRIC_GAUGE,
		.scale = 0.001 },
	[COUNT_SAVED] = { .name = "backup_saved_total",
		.help = "Caches saved, by command or mark",
		.kind = METRIC_COUNTER },
	[COUNT_UNREADABLE] = { .name = "backup_unreadable_total",
		.help = "Times that a cache could not be read",
		.kind = METRIC_COUNTER },
	[COUNT_RESTORED] = { .name = "backup_restored_total", .help = "Caches rebuilt", .kind = METRIC_COUNTER },
};
